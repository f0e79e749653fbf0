//! `compare`: every measure of several sides on one reference, in one pass over each picture, with a page.

use crate::fid::{check_origin, distance};
use crate::pixels::thumbnail;
use crate::scores::{finish, score};
use crate::session::{Keep, Measured, NetworkArguments, Session, SideArguments};
use crate::sides::{Content, Side};
use crate::table::{Table, digits};
use anyhow::Result;
use gan_core::failure::{Kind, at_path};
use gan_core::report::{data_url, escape, opening};
use gan_core::{picture, weights};
use image::ImageFormat;
use metrics::inception::FeatureLayer;
use metrics::kernel;
use metrics::neighbours::memorisation;
use metrics::prdc;
use metrics::source::Source;
use serde_json::json;
use std::io::Cursor;
use std::path::PathBuf;

/// `compare`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompareCommand {
    #[command(flatten)]
    sides: SideArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Seed of every shuffle and subset.
    #[arg(long, default_value_t = 2020)]
    seed: u32,
    /// The page: one file, no server.
    #[arg(short, long, default_value = "comparison.html", value_name = "HTML")]
    output: PathBuf,
}

/// Samples in a strip.
const STRIP: usize = 12;

/// The layers that all measures need, computed in one pass.
const LAYERS: [FeatureLayer; 2] = [FeatureLayer::D2048, FeatureLayer::Logits];

/// A number with torch-fidelity's key and its heading; none where it needs pictures that are not there.
type Value = (&'static str, &'static str, Option<f64>);

struct Row {
    name: String,
    count: u64,
    strip: Option<Vec<u8>>,
    values: Vec<Value>,
}

impl CompareCommand {
    /// Prints the table and writes the page.
    ///
    /// # Errors
    /// As each step says.
    pub fn run(&self) -> Result<()> {
        let mut session = Session::new(&self.network, Default::default());
        let (real, fakes) = session.sides(&self.sides)?;
        for fake in &fakes {
            check_origin(&mut session, &real, fake, FeatureLayer::D2048)?;
        }
        let real_strip = strip(&real)?;
        let real_listed = real.listed.clone();
        let real = session.measure(real, &LAYERS, Keep::Rows)?;
        let mut rows = Vec::new();
        for fake in fakes {
            session
                .recipe
                .compression(real_listed.as_ref(), fake.listed.as_ref());
            let strip = strip(&fake)?;
            let fake = session.measure(fake, &LAYERS, Keep::Rows)?;
            let values = self.values(&session, &real, &fake)?;
            rows.push(Row {
                count: fake.count().unwrap_or(0),
                name: fake.name,
                strip,
                values,
            });
        }
        session.recipe.put("seed", self.seed);
        let page = self.page(&session, &real, real_strip.as_deref(), &rows);
        weights::write_atomically(&self.output, page.as_bytes())?;
        session
            .recipe
            .line(format!("page     {}", self.output.display()));
        let mut headings = vec![String::new()];
        headings.extend(
            rows[0]
                .values
                .iter()
                .map(|(_, heading, _)| (*heading).to_owned()),
        );
        let mut table = Table::with_headings(headings);
        for row in &rows {
            let mut cells = vec![row.name.clone()];
            cells.extend(row.values.iter().map(|(_, _, value)| cell(*value)));
            table.cells(cells);
        }
        let json = rows.iter().map(as_json).collect();
        finish(&session, &table, json);
        Ok(())
    }

    fn values(&self, session: &Session, real: &Measured, fake: &Measured) -> Result<Vec<Value>> {
        let is_enough = |side: &Measured| side.count().is_none_or(|count| count >= 2);
        let fid = match is_enough(real) && is_enough(fake) {
            true => Some(distance(session, real, fake)?.value),
            false => None,
        };
        let mut values = vec![("frechet_inception_distance", "FID", fid)];
        let both = real.rows.as_ref().zip(fake.rows.as_ref());
        let (mut kid, mut inception, mut shares) = ([None; 2], [None; 2], [None; 5]);
        if let Some(fake) = &fake.rows {
            let splits = fake[1].rows().min(10);
            let found = score(&fake[1], session.compat, splits, Some(self.seed))?;
            inception = [Some(found.mean), Some(found.deviation)];
        }
        if let Some((real, fake)) = both {
            let size = real[0].rows().min(fake[0].rows()).min(1000);
            if size >= 2 {
                let settings = kernel::Settings {
                    subset_size: size,
                    seed: self.seed,
                    ..kernel::Settings::default()
                };
                let found = kernel::distance(&fake[0], &real[0], settings)?;
                kid = [Some(found.mean), Some(found.deviation)];
            }
            let settings = prdc::Settings::default();
            let most = settings.neighbours.max(settings.density_neighbours);
            if real[0].rows().min(fake[0].rows()) > most {
                let found = prdc::coverage(&real[0], &fake[0], settings)?;
                let memory = memorisation(&fake[0], &real[0], 0.5)?;
                shares = [
                    Some(found.precision),
                    Some(found.recall),
                    Some(found.density),
                    Some(found.coverage),
                    Some(memory.authenticity),
                ];
            }
        }
        values.extend([
            ("kernel_inception_distance_mean", "KID", kid[0]),
            ("kernel_inception_distance_std", "KID deviation", kid[1]),
            ("inception_score_mean", "Inception Score", inception[0]),
            ("inception_score_std", "IS deviation", inception[1]),
            ("precision", "precision", shares[0]),
            ("recall", "recall", shares[1]),
            ("density", "density", shares[2]),
            ("coverage", "coverage", shares[3]),
            ("authenticity", "authenticity", shares[4]),
        ]);
        Ok(values)
    }

    fn page(
        &self,
        session: &Session,
        real: &Measured,
        real_strip: Option<&[u8]>,
        rows: &[Row],
    ) -> String {
        let mut page = opening("Comparison", &real.name, &[], session.recipe.warnings());
        page.push_str("<section><h2>Numbers</h2><div style=\"overflow-x:auto\"><table><thead><tr><th></th><th>pictures</th>");
        for (_, heading, _) in &rows[0].values {
            page.push_str(&format!("<th>{}</th>", escape(heading)));
        }
        page.push_str("</tr></thead><tbody>");
        for row in rows {
            page.push_str(&format!(
                "<tr><th>{}</th><td>{}</td>",
                escape(&row.name),
                row.count
            ));
            for (index, (_, _, value)) in row.values.iter().enumerate() {
                let is_best = value.is_some_and(|value| is_best(rows, index, value));
                let text = escape(&cell(*value));
                page.push_str(&match is_best && rows.len() > 1 {
                    true => format!("<td><strong>{text}</strong></td>"),
                    false => format!("<td>{text}</td>"),
                });
            }
            page.push_str("</tr>");
        }
        page.push_str("</tbody></table></div></section>\n<section><h2>Samples</h2>\n");
        let strips = std::iter::once((&real.name, real_strip))
            .chain(rows.iter().map(|row| (&row.name, row.strip.as_deref())));
        for (name, strip) in strips {
            if let Some(strip) = strip {
                page.push_str(&format!(
                    "<figure><figcaption>{}</figcaption><img alt=\"samples of {}\" src=\"{}\"></figure>\n",
                    escape(name),
                    escape(name),
                    data_url("image/png", strip)
                ));
            }
        }
        page.push_str(&format!(
            "</section>\n<section><h2>How these numbers were made</h2><pre>{}</pre></section>\n</main></body></html>\n",
            escape(&session.recipe.text())
        ));
        page
    }
}

/// Whether no other row is better in a column.
fn is_best(rows: &[Row], index: usize, value: f64) -> bool {
    let heading = rows[0].values[index].1;
    let sign = match heading {
        "FID" | "KID" => -1.0,
        heading if heading.contains("deviation") => return false,
        _ => 1.0,
    };
    let mut others = rows.iter().filter_map(|row| row.values[index].2);
    others.all(|other| sign * value >= sign * other)
}

fn as_json(row: &Row) -> serde_json::Value {
    let mut all = json!({"fake": row.name, "count": row.count});
    for (key, _, value) in &row.values {
        if let Some(value) = value {
            all[*key] = (*value).into();
        }
    }
    all
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| {
        let text = digits(value);
        // Nine digits in eleven columns would not fit a screen; JSON has them.
        let end = text
            .char_indices()
            .filter(|(_, c)| c.is_ascii_digit())
            .nth(5);
        match (text.contains('.'), end) {
            (true, Some((end, digit))) if end > text.find('.').unwrap_or(0) => {
                text[..end + digit.len_utf8()].to_owned()
            }
            _ => text,
        }
    })
}

/// The first samples of a side, as a PNG.
fn strip(side: &Side) -> Result<Option<Vec<u8>>> {
    let source: &Source = match &side.content {
        Content::Pictures(source) => source,
        Content::Statistics(_) => return Ok(None),
    };
    let step = (source.len() / STRIP).max(1);
    let pictures: Vec<_> = (0..source.len())
        .step_by(step)
        .take(STRIP)
        // What cannot be read is told where it is measured.
        .filter_map(|index| thumbnail(source, index).ok())
        .collect();
    if pictures.is_empty() {
        return Ok(None);
    }
    let mut bytes = Cursor::new(Vec::new());
    picture::grid(&pictures, pictures.len(), 2)
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| {
            at_path(
                Kind::Disk,
                "draw the samples of",
                std::path::Path::new(&side.name),
                &std::io::Error::other(error),
            )
        })?;
    Ok(Some(bytes.into_inner()))
}

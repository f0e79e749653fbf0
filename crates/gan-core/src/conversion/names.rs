//! Which pictures are read, and what their results are called.

use super::pixels::{Format, ending};
use super::{ConversionArguments, Ending};
use crate::failure::{Kind, at_path, failure};
use crate::images;
use anyhow::Result;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// One picture, and where its result goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
}

/// All that is to be done.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) jobs: Vec<Job>,
    /// What lies in the input folders and is not looked at, a line for each.
    pub(super) notes: Vec<String>,
    /// Pictures whose results were there already.
    pub(super) skipped: usize,
}

/// Finds all pictures and checks all names.
pub(super) fn plan(arguments: &ConversionArguments) -> Result<Planned> {
    let is_name = !arguments.suffix.contains(['/', '\\', '\0']);
    if !is_name {
        return Err(failure(
            Kind::Usage,
            format!(
                "--suffix {:?}: it is a part of a file's name",
                arguments.suffix
            ),
        ));
    }
    let output = &arguments.output;
    // Links make one folder look like two.
    let own = std::fs::canonicalize(output).ok();
    let (mut jobs, mut notes) = (Vec::new(), Vec::new());
    let mut one_file = arguments.input.len() == 1;
    for input in &arguments.input {
        if input.is_dir() {
            one_file = false;
            notes.extend(add_folder(input, arguments, own.as_deref(), &mut jobs)?);
            continue;
        }
        let mut add = |source: PathBuf| {
            let name = source.file_name().unwrap_or(OsStr::new("picture"));
            let target = output.join(result_name(name.into(), arguments));
            jobs.push(Job { source, target });
        };
        match (std::fs::symlink_metadata(input), input.to_str()) {
            (Ok(_), _) => add(input.clone()),
            (Err(_), Some(pattern)) if pattern.contains(['*', '?', '[']) => {
                matching(pattern, own.as_deref())?
                    .into_iter()
                    .for_each(&mut add);
            }
            (Err(error), _) => return Err(at_path(Kind::Data, "read", input, &error)),
        }
    }
    let is_file = Format::of(output).is_some()
        || ["gif", "tif", "tiff", "avif", "heic"].contains(&ending(output).as_str());
    if is_file && !output.is_dir() {
        match (&mut jobs[..], Format::of(output)) {
            (_, None) => {
                return Err(usage(output, "results are png, jpg, webp or bmp files"));
            }
            ([job], _) if one_file => job.target.clone_from(output),
            _ => {
                let what = "this is one picture's name, but there may be more: name a folder";
                return Err(usage(output, what));
            }
        }
    } else if own.is_some() && !output.is_dir() {
        return Err(usage(output, "not a folder; choose another name"));
    }
    let mut jobs = without_collisions(jobs)?;
    check_existing(arguments, &jobs)?;
    let found = jobs.len();
    if arguments.skip_existing {
        jobs.retain(|job| !job.target.exists());
    }
    jobs.shrink_to_fit();
    Ok(Planned {
        skipped: found - jobs.len(),
        jobs,
        notes,
    })
}

fn usage(output: &Path, what: &str) -> anyhow::Error {
    failure(Kind::Usage, format!("-o {}: {what}", output.display()))
}

fn add_folder(
    folder: &Path,
    arguments: &ConversionArguments,
    own: Option<&Path>,
    jobs: &mut Vec<Job>,
) -> Result<Option<String>> {
    let real = std::fs::canonicalize(folder)
        .map_err(|error| at_path(Kind::Data, "read the folder", folder, &error))?;
    if own == Some(&real) {
        let what = format!(
            "results would replace their pictures; name another folder, such as {}",
            folder.join("converted").display()
        );
        return Err(usage(&arguments.output, &what));
    }
    // Results of before are no pictures of today.
    let own = own.filter(|own| own.starts_with(&real));
    let files = images::list(folder)?;
    let before = jobs.len();
    for index in 0..files.len() {
        let name = files.name(index);
        if !own.is_some_and(|own| real.join(name).starts_with(own)) {
            jobs.push(Job {
                source: files.path(index),
                target: arguments
                    .output
                    .join(result_name(name.to_owned(), arguments)),
            });
        }
    }
    if jobs.len() == before {
        return Err(failure(
            Kind::Data,
            format!(
                "there are no pictures under {} but those in the folder of -o",
                folder.display()
            ),
        ));
    }
    let kinds: Vec<String> = files
        .left_out()
        .iter()
        .map(|(kind, count)| format!("{kind}: {count}"))
        .collect();
    let others: usize = files.left_out().values().sum();
    Ok((others > 0).then(|| {
        format!(
            "{others} files under {} are not looked at ({})",
            folder.display(),
            kinds.join(", ")
        )
    }))
}

/// The picture files that match a pattern, in path order, without hidden ones and those in `own`.
fn matching(pattern: &str, own: Option<&Path>) -> Result<Vec<PathBuf>> {
    // As shells do it.
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    // Not `glob::glob`: it panics at names that are no text.
    let matcher = glob::Pattern::new(pattern).map_err(|error| {
        failure(
            Kind::Usage,
            format!("-i {pattern}: not a legal pattern: {error}"),
        )
    })?;
    let (base, depth) = base_of(pattern);
    let mut found = Vec::new();
    walk(&base, depth, &mut |path| {
        let is_picture = Format::of(&path).is_some() || ending(&path) == "gif";
        let is_own = || {
            let real = path.parent().map(|parent| match parent {
                parent if parent.as_os_str().is_empty() => Path::new("."),
                parent => parent,
            });
            let real = real.and_then(|parent| parent.canonicalize().ok());
            real.zip(own)
                .is_some_and(|(real, own)| real.starts_with(own))
        };
        if is_picture && matcher.matches_path_with(&path, options) && path.is_file() && !is_own() {
            found.push(path);
        }
    })?;
    found.sort();
    if found.is_empty() {
        return Err(failure(
            Kind::Data,
            format!(
                "no pictures match {pattern}; expected files ending in png, jpg, jpeg, webp, bmp or gif, \
                 outside the folder of -o"
            ),
        ));
    }
    Ok(found)
}

/// The folder from which a pattern's wildcards begin, and how many folders deep they go.
fn base_of(pattern: &str) -> (PathBuf, usize) {
    let is_wild = |part: &std::path::Component<'_>| {
        part.as_os_str().to_string_lossy().contains(['*', '?', '['])
    };
    let parts: Vec<_> = Path::new(pattern).components().collect();
    let first = parts.iter().position(is_wild).unwrap_or(parts.len());
    // As the pattern begins, so must the paths.
    let mut base = PathBuf::from(if pattern.starts_with("./") { "./" } else { "" });
    base.extend(&parts[..first]);
    let is_deep = parts[first..].iter().any(|part| part.as_os_str() == "**");
    (
        base,
        if is_deep {
            usize::MAX
        } else {
            parts.len() - first
        },
    )
}

/// Visits the files that lie up to `depth` folders under `folder`, but for hidden ones.
fn walk(folder: &Path, depth: usize, visit: &mut dyn FnMut(PathBuf)) -> Result<()> {
    let place = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = match std::fs::read_dir(place) {
        Ok(entries) => entries,
        // A pattern for what is not there matches nothing.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at_path(Kind::Data, "search", place, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| at_path(Kind::Data, "search", place, &error))?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') {
            continue;
        }
        let path = folder.join(&name);
        // Links are followed where the depth ends; elsewhere they may lead in a circle.
        let is_folder = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => depth != usize::MAX && path.is_dir(),
            Ok(kind) => kind.is_dir(),
            Err(_) => false,
        };
        if !is_folder {
            visit(path);
        } else if depth > 1 {
            walk(
                &path,
                depth.saturating_sub(usize::from(depth != usize::MAX)),
                visit,
            )?;
        }
    }
    Ok(())
}

/// Each picture once; two of them with one result's name are refused.
fn without_collisions(jobs: Vec<Job>) -> Result<Vec<Job>> {
    let mut kept: Vec<Job> = Vec::with_capacity(jobs.len());
    let mut places: HashMap<PathBuf, usize> = HashMap::with_capacity(jobs.len());
    for job in jobs {
        // There, A.png and a.png are one file.
        let key = if cfg!(any(windows, target_os = "macos")) {
            job.target.to_string_lossy().to_lowercase().into()
        } else {
            job.target.clone()
        };
        let first = *places.entry(key).or_insert(kept.len());
        let Some(other) = kept.get(first) else {
            kept.push(job);
            continue;
        };
        if real(&other.source) != real(&job.source) {
            return Err(failure(
                Kind::Usage,
                format!(
                    "{} and {} would both become {}: rename one, convert them into two folders, or name the \
                     folder that holds both, whose inner folders are kept",
                    other.source.display(),
                    job.source.display(),
                    job.target.display()
                ),
            ));
        }
    }
    Ok(kept)
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Refuses to replace a picture that is read, and, without --overwrite, anything.
fn check_existing(arguments: &ConversionArguments, jobs: &[Job]) -> Result<()> {
    let there: Vec<_> = jobs
        .iter()
        .filter_map(|job| Some((job, std::fs::symlink_metadata(&job.target).ok()?)))
        .collect();
    let Some((first, _)) = there.first() else {
        return Ok(());
    };
    let sources: HashSet<PathBuf> = jobs.iter().map(|job| real(&job.source)).collect();
    for (job, metadata) in &there {
        let what = if metadata.is_dir() {
            "is a folder, where a result is to be written"
        } else if sources.contains(&real(&job.target)) {
            "is one of the pictures to be read, and would be replaced"
        } else {
            continue;
        };
        let what = format!("{} {what}; name another folder", job.target.display());
        return Err(usage(&arguments.output, &what));
    }
    if arguments.overwrite || arguments.skip_existing {
        return Ok(());
    }
    Err(failure(
        Kind::Usage,
        format!(
            "{} of {} results are there already, the first: {}; add --overwrite to replace them, --skip-existing to \
             keep them, or choose another -o",
            there.len(),
            jobs.len(),
            first.target.display()
        ),
    ))
}

/// The name of a picture's result.
fn result_name(name: PathBuf, arguments: &ConversionArguments) -> PathBuf {
    let has_ending = Format::of(&name).is_some() || ending(&name) == "gif";
    let own = name.extension().filter(|_| has_ending);
    let stem = if has_ending {
        name.file_stem()
    } else {
        name.file_name()
    };
    let ending = match (arguments.ext, own) {
        (Ending::Auto, Some(own)) if Format::of(&name).is_some() => own,
        (Ending::Auto | Ending::Png, _) => OsStr::new("png"),
        (Ending::Jpg, _) => OsStr::new("jpg"),
        (Ending::Webp, _) => OsStr::new("webp"),
        (Ending::Bmp, _) => OsStr::new("bmp"),
    };
    let mut result = stem.unwrap_or_default().to_owned();
    if !arguments.suffix.is_empty() {
        result.push("_");
        result.push(&arguments.suffix);
    }
    result.push(".");
    result.push(ending);
    name.with_file_name(result)
}

#[cfg(test)]
mod tests {
    use super::super::tests::arguments;
    use super::*;
    use crate::failure::exit_code;

    /// Empty files do: nothing is read yet.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let place = folder.path().join(name);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, "").unwrap();
        }
        folder
    }

    fn planned(folder: &Path, input: &[&str], output: &str) -> Result<Vec<String>> {
        let input: Vec<_> = input.iter().map(|name| folder.join(name)).collect();
        let input: Vec<_> = input.iter().map(PathBuf::as_path).collect();
        let jobs = plan(&arguments(&input, &folder.join(output)))?.jobs;
        let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        let line = |job: &Job| format!("{} -> {}", name(&job.source), name(&job.target));
        Ok(jobs.iter().map(line).collect())
    }

    fn refused(folder: &Path, input: &[&str], output: &str, code: u8, part: &str) {
        let error = planned(folder, input, output).unwrap_err();
        let said = format!("{error:#}");
        assert_eq!(exit_code(&error), code, "{said}");
        assert!(said.contains(part), "{said}");
    }

    #[test]
    fn names_are_kept() {
        let folder = folder(&[
            "p/a.png",
            "p/in/b.JPG",
            "p/in/c.gif",
            "p/d[1].png",
            "p/.e.png",
            "x.v2",
        ]);
        let planned = |input: &[&str], output: &str| planned(folder.path(), input, output).unwrap();
        assert_eq!(
            planned(&["p"], "o"),
            [
                "p/a.png -> o/a.png",
                "p/d[1].png -> o/d[1].png",
                "p/in/b.JPG -> o/in/b.JPG",
                "p/in/c.gif -> o/in/c.png",
            ]
        );
        assert_eq!(planned(&["p/a.png", "x.v2"], "o")[1], "x.v2 -> o/x.v2.png");
        assert_eq!(
            planned(&["p/*.png"], "o").len(),
            2,
            "neither hidden nor inner ones"
        );
        assert_eq!(planned(&["p/**/*"], "o").len(), 4);
        assert_eq!(planned(&["p/d[1].png"], "o"), ["p/d[1].png -> o/d[1].png"]);
        assert_eq!(planned(&["p/a.png"], "o.webp"), ["p/a.png -> o.webp"]);
        assert_eq!(planned(&["p/?.png"], "o.jpg"), ["p/a.png -> o.jpg"]);
        // The same picture twice is one.
        assert_eq!(planned(&["p", "p/a.png", "p/in/../a.png"], "o").len(), 4);
        // Results may lie beside other folders of the input's.
        assert_eq!(planned(&["p/in"], "p").len(), 2);
    }

    #[test]
    fn what_cannot_be_is_refused_before_the_work() {
        let folder = folder(&[
            "p/a.png",
            "p/a.gif",
            "q/a.png",
            "q/b.jpg",
            "own/x.png",
            "file",
        ]);
        std::fs::create_dir_all(folder.path().join("empty")).unwrap();
        std::fs::create_dir_all(folder.path().join("taken/b.jpg")).unwrap();
        let refused = |input: &[&str], output: &str, code, part: &str| {
            refused(folder.path(), input, output, code, part);
        };
        refused(&["p"], "o", 2, "would both become");
        refused(
            &["p/a.png", "q/a.png"],
            "o",
            2,
            "name the folder that holds both",
        );
        refused(&["q"], "q", 2, "q/converted");
        refused(&["q/../q"], "q", 2, "q/converted");
        refused(&["q/*"], "q", 3, "outside the folder of -o");
        refused(&["q/a.png"], "q", 2, "would be replaced");
        refused(&["q/a.png"], "q/a.png", 2, "would be replaced");
        refused(&["p/a.gif"], "p", 2, "there already, the first");
        refused(&["q/b.jpg"], "taken", 2, "is a folder");
        refused(&["q", "own"], "o.png", 2, "name a folder");
        refused(&["q/a.png"], "o.tif", 2, "png, jpg, webp or bmp");
        refused(&["q/a.png"], "file", 2, "not a folder");
        refused(&["none.png"], "o", 3, "check the path");
        refused(&["q/none*.png"], "o", 3, "no pictures match");
        refused(&["q/[.png"], "o", 2, "not a legal pattern");
        refused(&["empty"], "o", 3, "no pictures under");
        std::fs::create_dir(folder.path().join("all")).unwrap();
        std::fs::rename(folder.path().join("own"), folder.path().join("all/own")).unwrap();
        refused(&["all"], "all/own", 3, "but those in the folder of -o");
    }

    #[test]
    fn results_get_suffix_and_ending_and_are_not_made_twice() {
        let folder = folder(&[
            "p/a.png",
            "p/b.v2.JPG",
            "p/c.gif",
            "p/notes.txt",
            "o/a_x2.webp",
        ]);
        let input = folder.path().join("p");
        let mut wanted = arguments(&[&input], &folder.path().join("o"));
        wanted.suffix = "x2".to_owned();
        let names = |wanted: &ConversionArguments| -> Vec<String> {
            let jobs = plan(wanted).unwrap().jobs;
            let name = |job: &Job| {
                job.target
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            };
            jobs.iter().map(name).collect()
        };
        assert_eq!(names(&wanted), ["a_x2.png", "b.v2_x2.JPG", "c_x2.png"]);
        wanted.ext = Ending::Webp;
        assert!(plan(&wanted).is_err(), "one is there");
        wanted.skip_existing = true;
        assert_eq!(names(&wanted), ["b.v2_x2.webp", "c_x2.webp"]);
        let planned = plan(&wanted).unwrap();
        assert_eq!(planned.skipped, 1);
        assert!(planned.notes[0].contains(".txt: 1"), "{:?}", planned.notes);
        wanted.suffix = "../x".to_owned();
        assert_eq!(exit_code(&plan(&wanted).unwrap_err()), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_text_disturbs_nobody() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder(&["p/a.png", "p/in/b.png"]);
        let name = std::ffi::OsStr::from_bytes(b"n\xff.png");
        std::fs::write(folder.path().join("p").join(name), "").unwrap();
        let planned = |input: &str| planned(folder.path(), &[input], "o").unwrap();
        assert_eq!(planned("p/*.png"), ["p/a.png -> o/a.png"]);
        assert_eq!(planned("p/**/*.png").len(), 2);
        assert_eq!(planned("p/*/*.png"), ["p/in/b.png -> o/b.png"]);
        assert_eq!(planned("[p]/?.png"), ["p/a.png -> o/a.png"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_hide_no_picture() {
        let folder = folder(&["q/a.png"]);
        let place = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(place("q"), place("link")).unwrap();
        refused(folder.path(), &["link"], "q", 2, "replace their pictures");
        refused(folder.path(), &["q/a.png"], "link", 2, "would be replaced");
    }
}

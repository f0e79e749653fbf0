//! PyTorch in a process of its own, which does what it is told line by line.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The other side.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// PyTorch's version.
    pub(crate) version: String,
}

impl Peer {
    /// PyTorch of the Python called `python`, or nothing where there is none.
    pub(crate) fn start(python: &str, threads: usize) -> Result<Option<Self>> {
        if python == "none" {
            return Ok(None);
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peer.py");
        let child = Command::new(python)
            .arg(script)
            .arg(threads.to_string())
            .env("OMP_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            return Ok(None);
        };
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the Python process has no input or output");
        };
        let mut peer = Self {
            child,
            input,
            output: BufReader::new(output),
            version: String::new(),
        };
        // Without PyTorch the script ends at once, and so does this line.
        let Ok(answer) = peer.ask(&json!({"do": "hello"})) else {
            return Ok(None);
        };
        peer.version = answer["torch"].as_str().unwrap_or_default().to_owned();
        Ok(Some(peer))
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// If the process ended, or the answer is an error.
    pub(crate) fn ask(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.input, "{request}")
            .and_then(|()| self.input.flush())
            .context("PyTorch's process ended")?;
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .context("PyTorch's process ended")?;
        let answer: Value =
            serde_json::from_str(&line).context("PyTorch's process ended without an answer")?;
        match answer.get("error") {
            Some(error) => bail!("PyTorch: {error}"),
            None => Ok(answer),
        }
    }

    /// The times of `count` runs of what was prepared, for each memory layout.
    pub(crate) fn times(&mut self, count: u32) -> Result<Vec<Vec<f64>>> {
        let answer = self.ask(&json!({"do": "time", "count": count}))?;
        serde_json::from_value(answer["seconds"].clone()).context("PyTorch's times")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

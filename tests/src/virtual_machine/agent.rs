// SPDX-License-Identifier: MIT OR Apache-2.0
//! The near end of `agent.sh`, which runs inside: one command at a time through a virtual serial port.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::Output;

/// How much longer than the command itself its answer may take.
const GRACE: Duration = Duration::from_secs(60);

pub(crate) struct Agent {
    port: BufReader<UnixStream>,
}

impl Agent {
    pub(crate) fn new(port: UnixStream) -> Agent {
        Agent { port: BufReader::new(port) }
    }

    /// Waits for its first word.
    pub(crate) fn greeting(&mut self, deadline: Duration) -> Result<(), String> {
        match &*self.line(deadline)? {
            "ready" => Ok(()),
            other => Err(format!("the agent says `{other}`")),
        }
    }

    /// Runs a script to its end, or to its deadline, when the status is 137.
    pub(crate) fn ask(&mut self, script: &str, stdin: &[u8], deadline: Duration) -> Result<Output, String> {
        let started = Instant::now();
        let lost = |error| format!("lost the agent: {error}");
        let header = format!("{} {} {}\n", deadline.as_secs(), script.len(), stdin.len());
        let port = self.port.get_mut();
        port.write_all(&[header.as_bytes(), script.as_bytes(), stdin].concat()).map_err(lost)?;
        let header = self.line(deadline + GRACE)?;
        let [status, output, errors] = numbers(&header).ok_or(format!("the agent answers `{header}`"))?;
        let (stdout, stderr) = (self.text(output)?, self.text(errors)?);
        let status = ExitStatus::from_raw(i32::from(status.to_le_bytes()[0]) << 8);
        let output = Output { what: script.to_owned(), status, stdout, stderr, took: started.elapsed() };
        // timeout(1) kills with itself all that the script started.
        if started.elapsed() >= deadline {
            Err(format!("takes over {deadline:?}: {output}"))
        } else {
            Ok(output)
        }
    }

    fn line(&mut self, deadline: Duration) -> Result<String, String> {
        self.port.get_ref().set_read_timeout(Some(deadline)).expect("a deadline is not 0");
        let mut line = String::new();
        match self.port.read_line(&mut line) {
            Ok(0) => Err("the machine is gone".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("no answer within {deadline:?}: {error}")),
        }
    }

    fn text(&mut self, length: usize) -> Result<String, String> {
        let mut bytes = vec![0; length];
        self.port.read_exact(&mut bytes).map_err(|error| format!("lost the agent: {error}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn numbers(line: &str) -> Option<[usize; 3]> {
    let numbers: Vec<usize> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

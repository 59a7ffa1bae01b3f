//! A child process whose error output is kept, and that never outlives its test.

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running (or ended) program.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    said: Arc<Mutex<String>>,
    listeners: Vec<JoinHandle<()>>,
}

impl Child {
    /// Starts a program. Both of its outputs are kept.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = Arc::new(Mutex::new(String::new()));
        let out = listen(process.stdout.take().expect("a pipe"), Arc::clone(&said));
        let err = listen(process.stderr.take().expect("a pipe"), Arc::clone(&said));
        Self { process, said, listeners: vec![out, err] }
    }

    /// Everything that it has printed so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("the text").clone()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("a child can be waited for")
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        let id = Pid::from_child(&self.process);
        kill_process(id, Signal::TERM).expect("a running child takes a signal");
    }

    /// Waits for its end, and for the last of its output.
    ///
    /// # Panics
    /// When it does not end in time.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(begun.elapsed() < limit, "still running after {limit:?}; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        };
        for listener in self.listeners.drain(..) {
            listener.join().expect("a listener ends with its pipe");
        }
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            super::say(&format!("--- process {} said:\n{}---", self.process.id(), self.said()));
        }
    }
}

fn listen(pipe: impl Read + Send + 'static, said: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            said.lock().expect("the text").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

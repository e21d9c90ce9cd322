//! Logs, to standard error: standard output belongs to what a command prints for others to read.
//! What becomes of a line where that cannot be written is [`output`]'s business.

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt::MakeWriter, util::TryInitError};

use crate::{config::LogSettings, output};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("log filter {filter:?}: {source}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// This process logs already.
    #[error("the log was started twice: {0}")]
    Twice(#[from] TryInitError),
}

/// Starts the log of this process.
pub fn start(log: &LogSettings) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;
    output::set_json(log.json);
    let colours = output::in_colours(&std::io::stderr());
    subscriber(log, colours, output::LogLines::default)?.try_init()?;
    Ok(())
}

/// What [`start`] installs, with any writer.
fn subscriber<W>(
    log: &LogSettings,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|source| TelemetryError::Filter { filter: log.filter.clone(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours)
        // It would tell of a line that could not be written by `eprintln!`, which panics.
        .log_internal_errors(false);
    Ok(match log.json {
        true => Box::new(builder.json().flatten_event(true).finish()),
        false => Box::new(builder.finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::mpsc::{Receiver, Sender, channel},
    };

    use super::*;

    #[derive(Clone)]
    struct LineSink(Sender<Vec<u8>>);

    impl Write for LineSink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: &LogSettings, say: impl FnOnce()) -> String {
        let (sender, lines): (_, Receiver<Vec<u8>>) = channel();
        let lines_of = LineSink(sender);
        let subscriber = subscriber(log, false, move || lines_of.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(lines.try_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn json_lines_hold_level_message_and_fields() {
        let log = LogSettings { filter: LogSettings::INFO.into(), json: true };
        let line = logged(&log, || tracing::info!(stack = "a-b", "applied"));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["level"], &line["message"], &line["stack"]),
            (&"INFO".into(), &"applied".into(), &"a-b".into())
        );
    }

    #[test]
    fn debug_logs_the_agent_and_not_its_libraries() {
        let say = || {
            tracing::debug!(target: "stackherd::agent", "ours");
            tracing::debug!(target: "hyper", "theirs");
        };
        let text = logged(&LogSettings { filter: LogSettings::DEBUG.into(), json: false }, say);
        assert!(text.contains("ours") && !text.contains("theirs"), "{text}");
        assert_eq!(logged(&LogSettings { filter: LogSettings::INFO.into(), json: false }, say), "");
    }
}

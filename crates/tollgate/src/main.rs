//! The `tollgate` command.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tollgate_client::command::{self, Connection};
use tollgate_server::{ReplayArgs, ServeArgs};

/// A rate limiter that never admits more than the limit and answers from memory.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Run a node. Done, too, when no command is given.
    Serve(ServeArgs),
    /// Show what limits would have done to the requests of a web server's access log.
    Replay(ReplayArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    #[command(flatten)]
    Client(command::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.task {
        Some(Task::Client(task)) => return command::run(task, &cli.connection).await,
        Some(Task::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut std::io::stdout());
            Ok(())
        }
        Some(Task::Replay(args)) => tollgate_server::replay(&args).map_err(|error| error.to_string()),
        Some(Task::Serve(args)) => tollgate_server::serve(&args).await.map_err(|error| error.to_string()),
        None => tollgate_server::serve(&ServeArgs::default()).await.map_err(|error| error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tollgate: {error}");
            ExitCode::from(2)
        }
    }
}

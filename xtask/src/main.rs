//! Developer commands; `cargo xtask help` lists them.
//!
//! Plain std, so that they build in a second and need no tool but the ones they drive.

mod cache;
mod ci;
mod demos;
mod envtest;
mod grpcio;
mod house;
mod kubeconfigs;
mod safeguards;
mod simulation;
mod step;

use std::process::ExitCode;

const HELP: &str = "\
Developer commands of stackherd. Usage: cargo xtask <command>

  help              this text
  envtest           build the API server and etcd that the tests start (needs Go), into the user's cache
  grpcio            make the Python environment with grpcio that the interoperability test uses (needs
                    Python 3)
  kubeconfigs       ask kubectl again what it makes of tests/kubeconfigs (needs kubectl)
  ci                everything that has to pass before a merge: the above, format, clippy, tests, docs
  sim SEED          run the simulation of this seed, and say what happened where it fails
  sim-soak MINUTES  run the simulation of one seed after the other for so long
  safeguards [NAME] take each safeguard out (or this one), and see that its tests fail; --list names them
  house             what CONTRIBUTING.md asks of the sources: names, walls, lengths, bans
  modules           write docs/modules.md, what each file of the product says of itself
  size [FOLDER]     lines of the product, of this tree or another one
  demos             500 stacks each with seeds 1 to 20 on 1, 2, 4 and 8 shards (release build, minutes)

The cache is ${XDG_CACHE_HOME:-~/.cache}/stackherd; what is in it is kept until you delete it.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let operand = match command.as_deref() {
        Some("sim" | "sim-soak" | "safeguards" | "size") => arguments.next(),
        _ => None,
    };
    if let Some(surplus) = arguments.next() {
        eprintln!("unexpected argument {surplus:?}\n\n{HELP}");
        return ExitCode::from(64);
    }
    let done = match command.as_deref() {
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some("envtest") => envtest::command(),
        Some("grpcio") => grpcio::command(),
        Some("kubeconfigs") => kubeconfigs::command(),
        Some("ci") => ci::command(),
        Some("house") => house::command(),
        Some("modules") => house::modules(),
        Some("size") => house::size(operand.as_deref()),
        Some("demos") => demos::command(),
        Some("safeguards") => safeguards::command(operand.as_deref()),
        Some("sim") => simulation::seed(operand.as_deref()),
        Some("sim-soak") => simulation::soak(operand.as_deref()),
        Some(unknown) => {
            eprintln!("unknown command {unknown:?}\n\n{HELP}");
            return ExitCode::from(64);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("xtask: {fault}");
            ExitCode::FAILURE
        }
    }
}

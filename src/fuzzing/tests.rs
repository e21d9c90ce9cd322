use std::{fs, panic::catch_unwind, path::Path};

use super::mutator::Mutator;

/// Variations of each target's seeds.
const VARIATIONS: usize = 3000;

/// Checks the seeds of a target and variations of them. What fails is printed as it has to be put
/// into a file to have it again.
fn check(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3, "{} has {} seeds", folder.display(), files.len());
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let run = |data: &[u8], name: &str| {
        let held = catch_unwind(|| check(data)).is_ok();
        assert!(held, "{target}, {name}: \"{}\"", data.escape_ascii());
    };
    for (seed, file) in seeds.iter().zip(&files) {
        run(seed, &file.display().to_string());
    }
    let mut mutator = Mutator::new(4711);
    for number in 0..VARIATIONS {
        run(&mutator.vary(&seeds), &format!("variation {number}"));
    }
}

macro_rules! targets {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];
        $(
            #[test]
            fn $target() {
                check(stringify!($target), super::$target);
            }
        )*
    };
}

targets!(answers compressed gzip join kubeconfig list oidc orders peer plugin replay settings socks store trace urls watch);

#[test]
fn each_target_of_the_fuzzer_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let name = |file: fs::DirEntry| file.path().file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|file| name(file.unwrap())).collect();
    names.sort();
    assert_eq!(names, TARGETS);
}

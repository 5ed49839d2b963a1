//! The fuzz targets: for each kind of bytes from outside, a function that reads them and checks
//! what must hold for any input.
//!
//! Built for tests and for `fuzz/` only. It collects the targets of the modules, and deliberately
//! knows none of their formats: a target returns if all is well and panics if not.

pub use crate::{
    access::fuzzing::{bearer, callers, certificate},
    config::fuzzing::settings,
    domain::photo::fuzzing::photo,
    grpc::fuzzing::request,
    oz::fuzzing::{oz_answer, oz_error},
    watch::fuzzing::tokens,
    web::fuzzing::json,
};

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    type Target = fn(&[u8]);

    /// The targets by the names of their corpora.
    const TARGETS: [(&str, Target); 10] = [
        ("bearer", bearer),
        ("callers", callers),
        ("certificate", certificate),
        ("json", json),
        ("oz_answer", oz_answer),
        ("oz_error", oz_error),
        ("photo", photo),
        ("request", request),
        ("settings", settings),
        ("tokens", tokens),
    ];

    #[test]
    fn every_file_of_the_corpora_passes_its_target() {
        for (name, take) in TARGETS {
            let files = files(&format!("corpus/{name}"));
            assert!(!files.is_empty(), "the corpus of {name} is empty");
            for file in files {
                println!("{}", file.display());
                take(&fs::read(file).unwrap());
            }
        }
    }

    #[test]
    fn every_target_is_built_and_has_a_corpus() {
        let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        for folder in ["corpus", "fuzz_targets"] {
            let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
            let found: BTreeSet<String> = files(folder).into_iter().map(stem).collect();
            assert_eq!(found, known, "fuzz/{folder}");
        }
    }

    /// The files of a folder of `fuzz/`.
    fn files(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

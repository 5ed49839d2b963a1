//! Judges the answers of the photo library.

use bytes::Bytes;

use crate::{
    doctor::{DoctorStep, Finding},
    domain::{LibraryFault, photo, retry},
    library::{SourceError, SourceKind},
};

/// Judges the check of a library.
pub fn reach(kind: SourceKind, checked: Result<(), SourceError>) -> Finding {
    match checked {
        Ok(()) => {
            let what = format!("the {} answers, and is set up as needed", name(kind));
            Finding::holds(DoctorStep::Library, what)
        }
        Err(error) => failed(DoctorStep::Library, error),
    }
}

/// Judges the photo of a key. The finding shows neither.
pub fn photo(read: Result<Bytes, SourceError>) -> Finding {
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) => return failed(DoctorStep::Reference, error),
    };
    match photo::inspect(&bytes) {
        Ok(format) => {
            let what = format!("the library has a {format} of {} bytes for the key", bytes.len());
            Finding::holds(DoctorStep::Reference, what)
        }
        Err(unreadable) => {
            let what = format!("the library's photo {unreadable}");
            Finding::differs(DoctorStep::Reference, what, advice(LibraryFault::Unreadable))
        }
    }
}

const fn name(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Folder => "folder",
        SourceKind::S3 => "bucket at S3",
        SourceKind::Gcs => "bucket at Google Cloud Storage",
        SourceKind::Azure => "container at Azure Blob Storage",
        SourceKind::Http => "web service",
        SourceKind::Postgres => "PostgreSQL database",
        SourceKind::Mysql => "MySQL database",
    }
}

fn failed(step: DoctorStep, error: SourceError) -> Finding {
    let (fault, why) = match error {
        SourceError::Fault(fault, why) => (fault, why),
        // A photo of any allowed size has room here.
        SourceError::NoRoom => (LibraryFault::TooLarge, error.to_string()),
    };
    let what = format!("{}: {why}", retry::library_message(fault));
    Finding::differs(step, what, advice(fault))
}

const fn advice(fault: LibraryFault) -> &'static str {
    match fault {
        LibraryFault::Unreachable => {
            "check the address in --library, the network and --library-ca-file; until the library \
             answers, matches by key wait"
        }
        LibraryFault::Forbidden => {
            "give this account the rights that docs/library.md names, or correct its secret"
        }
        LibraryFault::Protocol => {
            "correct --library or --library-query; docs/library.md says what a library has to answer"
        }
        LibraryFault::NotFound => {
            "check the key, and the folder, prefix or query of the library that it is looked up in"
        }
        LibraryFault::Ambiguous => "correct --library-query, so that a key finds one row",
        LibraryFault::Unreadable => "replace the photo by a JPEG or PNG",
        LibraryFault::TooLarge => "replace the photo by one of at most 10 MiB",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::FindingVerdict;

    const FAULTS: [LibraryFault; 7] = [
        LibraryFault::Unreachable,
        LibraryFault::Forbidden,
        LibraryFault::Protocol,
        LibraryFault::NotFound,
        LibraryFault::Ambiguous,
        LibraryFault::Unreadable,
        LibraryFault::TooLarge,
    ];

    #[test]
    fn every_fault_differs_and_says_why_and_what_to_do() {
        for fault in FAULTS {
            for finding in [
                reach(SourceKind::S3, Err(SourceError::Fault(fault, "as it is".to_owned()))),
                photo(Err(SourceError::Fault(fault, "as it is".to_owned()))),
            ] {
                assert_eq!(finding.verdict, FindingVerdict::Differs);
                assert!(finding.what.ends_with(": as it is"), "{finding}");
                assert!(finding.advice.is_some(), "{finding}");
            }
        }
        assert_eq!(photo(Err(SourceError::NoRoom)).verdict, FindingVerdict::Differs);
    }

    #[test]
    fn only_a_whole_photo_holds() {
        let portrait = Bytes::from_static(include_bytes!("../../simulator/sample/portrait.jpg"));
        let finding = photo(Ok(portrait.clone()));
        let bytes = portrait.len();
        assert_eq!(finding.what, format!("the library has a JPEG of {bytes} bytes for the key"));
        assert_eq!(finding.verdict, FindingVerdict::Holds);
        for (bytes, why) in [
            (Bytes::new(), "the library's photo is empty"),
            (Bytes::from_static(b"hello"), "neither a JPEG nor a PNG"),
            (portrait.slice(..200), "the library's photo is"),
        ] {
            let finding = photo(Ok(bytes));
            assert_eq!(finding.verdict, FindingVerdict::Differs);
            assert!(finding.what.contains(why), "{finding}");
        }
    }
}

//! Walks a JPEG (ITU T.81, annex B) from its start to the end-of-image marker after its scans.
//!
//! It accepts what libjpeg-turbo decodes, and refuses what libjpeg-turbo can't decode judging by
//! the headers. The data of a scan is only searched for the marker that ends it.

mod frame;
mod lossless;
mod marker;
mod scan;
mod tables;
#[cfg(test)]
mod tests;

use frame::{Frame, Process};
use lossless::Colours;
use scan::Scan;
use tables::Tables;

use super::{Format, Size, Unreadable};

const FORMAT: Format = Format::Jpeg;

const fn unsound(why: &'static str) -> Unreadable {
    Unreadable::Unsound { format: FORMAT, why }
}

const fn unsupported(why: &'static str) -> Unreadable {
    Unreadable::Unsupported { format: FORMAT, why }
}

const fn cut_off() -> Unreadable {
    Unreadable::CutOff("the JPEG's end-of-image marker is missing")
}

const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// The size in pixels of a whole JPEG. The bytes start with the start-of-image marker.
pub fn size(bytes: &[u8]) -> Result<Size, Unreadable> {
    let mut picture = Picture::default();
    let mut rest = &bytes[2..];
    loop {
        let (marker, after) = marker::next(rest, picture.least_marker())?;
        rest = match marker {
            END_OF_IMAGE => return picture.size(),
            START_OF_IMAGE => return Err(picture.interrupted()),
            // APP0 to APP15, DNL and COM.
            0xe0..=0xef | 0xdc | 0xfe => {
                let (payload, after) = marker::optional_payload(after)?;
                picture.colours.read(marker, payload);
                after
            }
            _ => {
                let (payload, after) = marker::payload(after)?;
                picture.read(marker, payload)?;
                after
            }
        };
    }
}

/// What the segments have said so far.
#[derive(Default)]
struct Picture {
    frame: Option<Frame>,
    tables: Tables,
    colours: Colours,
    /// Blocks between two restart markers; 0 if there are none.
    restart_interval: u16,
    scans: Scans,
}

/// The scans read so far.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Scans {
    #[default]
    None,
    /// At least one scan; more may follow.
    Some,
    /// One scan with all components; no more may follow.
    All,
}

impl Picture {
    fn least_marker(&self) -> u8 {
        let is_among_restarts = self.scans != Scans::None && self.restart_interval != 0;
        if is_among_restarts { marker::LEAST_AMONG_RESTARTS } else { marker::LEAST }
    }

    /// Reads a segment that a decoder depends on.
    fn read(&mut self, marker: u8, payload: &[u8]) -> Result<(), Unreadable> {
        match marker {
            START_OF_SCAN => return self.begin_scan(payload),
            0xc4 => self.tables.define_huffman(payload)?,
            0xdb => self.tables.define_quantization(payload)?,
            0xcc => tables::check_arithmetic(payload)?,
            0xdd => {
                let interval = payload.try_into().map_err(|_| unsound("its DRI is broken"))?;
                self.restart_interval = u16::from_be_bytes(interval);
            }
            0xc0..=0xc7 | 0xc9..=0xcf if self.frame.is_some() => {
                return Err(unsound("it has two frame headers"));
            }
            0xc0..=0xc7 | 0xc9..=0xcf => self.frame = Some(Frame::read(marker, payload)?),
            _ => return Err(unsound("it has a marker that is not allowed there")),
        }
        Ok(())
    }

    fn begin_scan(&mut self, header: &[u8]) -> Result<(), Unreadable> {
        let frame = self.frame.as_mut().ok_or(unsound("a scan comes before its frame header"))?;
        let scan = Scan::read(header)?;
        match self.scans {
            Scans::All => return Err(unsound("it has one scan too many")),
            Scans::Some => {}
            Scans::None => {
                if frame.process == Process::Lossless {
                    lossless::check(frame, &self.colours, self.restart_interval)?;
                }
                if frame.process == Process::Sequential {
                    self.tables.add_defaults();
                }
                let is_only = scan.holds_all_of(frame) && frame.process != Process::Progressive;
                self.scans = if is_only { Scans::All } else { Scans::Some };
            }
        }
        scan.begin(frame, &self.tables)
    }

    fn size(&self) -> Result<Size, Unreadable> {
        match (&self.frame, self.scans) {
            (Some(frame), Scans::Some | Scans::All) => Ok(frame.size),
            _ => Err(unsound("it ends before its first scan")),
        }
    }

    /// Another picture starts here. Usually the first one was cut off, and the next one appended.
    fn interrupted(&self) -> Unreadable {
        match self.scans {
            Scans::None => unsound("it starts twice"),
            Scans::Some | Scans::All => {
                Unreadable::CutOff("another JPEG starts before this one has ended")
            }
        }
    }
}

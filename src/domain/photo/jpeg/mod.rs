//! Walks a JPEG (ITU T.81, annex B) from its start to the end-of-image marker behind its scans.
//!
//! What libjpeg-turbo decodes is taken, and what its headers tell that it can't decode is not.
//! The data of a scan is only searched for the marker that ends it.

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

/// What the segments have told so far.
#[derive(Default)]
struct Picture {
    frame: Option<Frame>,
    tables: Tables,
    colours: Colours,
    /// Blocks between two restart markers; none where it is 0.
    restart_interval: u16,
    scans: Scans,
}

/// What there was of the pixels.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Scans {
    #[default]
    None,
    /// One that others may follow.
    Some,
    /// The only one.
    All,
}

impl Picture {
    fn least_marker(&self) -> u8 {
        let is_among_restarts = self.scans != Scans::None && self.restart_interval != 0;
        if is_among_restarts { marker::LEAST_AMONG_RESTARTS } else { marker::LEAST }
    }

    /// A segment that a decoder depends on.
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
            _ => return Err(unsound("it has a marker that no JPEG has there")),
        }
        Ok(())
    }

    fn begin_scan(&mut self, header: &[u8]) -> Result<(), Unreadable> {
        let frame = self.frame.as_mut().ok_or(unsound("a scan comes before its frame header"))?;
        let scan = Scan::read(header)?;
        match self.scans {
            Scans::All => return Err(unsound("it has a scan too many")),
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

    /// Another picture starts here: as a rule this one was cut off, and the next one written
    /// behind it.
    fn interrupted(&self) -> Unreadable {
        match self.scans {
            Scans::None => unsound("it starts twice"),
            Scans::Some | Scans::All => {
                Unreadable::CutOff("another JPEG starts before this one has ended")
            }
        }
    }
}

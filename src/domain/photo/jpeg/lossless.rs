//! What libjpeg-turbo, from version 3 on, additionally requires of a lossless JPEG.
//!
//! It doesn't convert the colours of lossless pictures, and restarts only at the start of a row.

use super::{Unreadable, frame::Frame, unsupported};

/// What the application segments say about the colours.
#[derive(Default)]
pub struct Colours {
    is_jfif: bool,
    /// The transform that an Adobe segment names.
    adobe: Option<u8>,
}

impl Colours {
    pub fn read(&mut self, marker: u8, payload: &[u8]) {
        match (marker, payload) {
            (0xe0, [b'J', b'F', b'I', b'F', 0, _, _, _, _, _, _, _, _, _, ..]) => {
                self.is_jfif = true;
            }
            (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                self.adobe = Some(*transform);
            }
            _ => {}
        }
    }

    /// Whether the samples are stored without a colour transform.
    fn are_plain(&self, components: usize) -> bool {
        match components {
            3 => !self.is_jfif && self.adobe.unwrap_or(0) == 0,
            4 => self.adobe.unwrap_or(0) == 0,
            _ => true,
        }
    }
}

pub fn check(frame: &Frame, colours: &Colours, restart_interval: u16) -> Result<(), Unreadable> {
    if !colours.are_plain(frame.components().len()) {
        return Err(unsupported("it is lossless and its colours are not RGB"));
    }
    let finest = frame.components().iter().map(|component| component.horizontal).max();
    let units_of_a_row = frame.size.width.div_ceil(finest.unwrap_or(1).into());
    if !u32::from(restart_interval).is_multiple_of(units_of_a_row) {
        return Err(unsupported("it is lossless and restarts within a row of pixels"));
    }
    Ok(())
}

//! The header of a scan (SOS): the components in its data, and how they are coded.
//!
//! It deliberately doesn't decode the data.

use super::{
    Unreadable,
    frame::{COMPONENTS_MAX, Coding, Frame, Process},
    tables::{Purpose, Tables},
    unsound,
};

/// The most blocks that a scan may interleave (ITU T.81, annex B).
const BLOCKS_MAX: u32 = 10;

/// The most low-order bits of a coefficient that a progressive scan may leave to later scans.
const SHIFT_MAX: u8 = 13;

/// The last of the 64 coefficients of a block.
const COEFFICIENT_MAX: u8 = 63;

/// The last of the predictors of a lossless scan.
const PREDICTOR_MAX: u8 = 7;

/// The components and coefficients that a scan header announces.
pub struct Scan<'a> {
    /// For each component, its id and its tables.
    components: &'a [[u8; 2]],
    first: u8,
    last: u8,
    /// The point transforms, in bits: of the scan before in the upper half, of this scan in the
    /// lower.
    shift: u8,
}

impl<'a> Scan<'a> {
    pub fn read(payload: &'a [u8]) -> Result<Self, Unreadable> {
        let wrong_length = unsound("a scan header has the wrong length for its components");
        let [count, specifications @ ..] = payload else {
            return Err(wrong_length);
        };
        let (components, rest) =
            specifications.split_at_checked(2 * usize::from(*count)).ok_or(wrong_length)?;
        let ((components, _), &[first, last, shift]) = (components.as_chunks::<2>(), rest) else {
            return Err(wrong_length);
        };
        if components.is_empty() {
            return Err(wrong_length);
        }
        Ok(Self { components, first, last, shift })
    }

    /// Whether all components of a frame are in this one scan.
    pub fn holds_all_of(&self, frame: &Frame) -> bool {
        self.components.len() == frame.components().len()
    }

    /// Checks that the scan can be decoded with the tables defined so far, and marks its components
    /// as begun.
    pub fn begin(&self, frame: &mut Frame, tables: &Tables) -> Result<(), Unreadable> {
        self.check_parameters(frame)?;
        let (process, coding) = (frame.process, frame.coding);
        let mut taken = [false; COMPONENTS_MAX];
        let mut blocks = 0;
        for (index, &[id, slots]) in self.components.iter().enumerate() {
            let place = place(frame, index, id, &mut taken)?;
            let component = &mut frame.components_mut()[place];
            blocks += u32::from(component.horizontal) * u32::from(component.vertical);
            if process != Process::Lossless && !component.is_begun {
                tables.need_quantization(component.quantization)?;
            }
            component.is_begun = true;
            if coding == Coding::Huffman {
                self.need_huffman(process, tables, slots)?;
            }
        }
        if self.components.len() > 1 && blocks > BLOCKS_MAX {
            return Err(unsound("a scan interleaves over 10 blocks"));
        }
        Ok(())
    }

    /// Checks the announced coefficients. A sequential scan always has all of them, whatever its
    /// header says.
    fn check_parameters(&self, frame: &Frame) -> Result<(), Unreadable> {
        let (before, now) = (self.shift >> 4, self.shift & 0x0f);
        let is_possible = match frame.process {
            Process::Sequential => true,
            Process::Progressive => {
                let band = match self.first {
                    0 => self.last == 0,
                    first => {
                        first <= self.last
                            && self.last <= COEFFICIENT_MAX
                            && self.components.len() == 1
                    }
                };
                band && now <= SHIFT_MAX && (before == 0 || before == now + 1)
            }
            Process::Lossless => {
                let is_predictor = (1..=PREDICTOR_MAX).contains(&self.first);
                is_predictor && self.last == 0 && before == 0 && now < 8
            }
        };
        let wrong = unsound("a scan header asks for coefficients that can't exist");
        if is_possible { Ok(()) } else { Err(wrong) }
    }

    fn need_huffman(&self, process: Process, tables: &Tables, slots: u8) -> Result<(), Unreadable> {
        let (dc, ac) = (slots >> 4, slots & 0x0f);
        match process {
            Process::Sequential => {
                tables.need_huffman(Purpose::Dc, dc)?;
                tables.need_huffman(Purpose::Ac, ac)
            }
            // Refinements of the first coefficients are raw bits, without a table.
            Process::Progressive if self.first == 0 && self.shift >> 4 != 0 => Ok(()),
            Process::Progressive if self.first == 0 => tables.need_huffman(Purpose::Dc, dc),
            Process::Progressive => tables.need_huffman(Purpose::Ac, ac),
            Process::Lossless => tables.need_huffman(Purpose::Lossless, dc),
        }
    }
}

/// The frame's index of the component that a scan names at `index`. The search runs in the frame's
/// order, as in libjpeg.
fn place(
    frame: &Frame,
    index: usize,
    id: u8,
    taken: &mut [bool; COMPONENTS_MAX],
) -> Result<usize, Unreadable> {
    let mut rest = frame.components().iter().enumerate().skip(index);
    let found = rest.find(|(_, component)| component.id == id);
    match found {
        Some((place, _)) if !taken[place] => {
            taken[place] = true;
            Ok(place)
        }
        _ => Err(unsound("a scan names components that its frame doesn't have")),
    }
}

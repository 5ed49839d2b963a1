//! The frame header of a JPEG (SOF): the coding of its pixels, and its components.
//!
//! A frame that is read without an error can be decoded by libjpeg, as far as its header tells.

use super::{FORMAT, Size, Unreadable, unsound, unsupported};

/// The most components of a picture whose colour space decoders know.
pub const COMPONENTS_MAX: usize = 4;

/// The largest sampling factor (ITU T.81, annex B).
const SAMPLING_MAX: u8 = 4;

/// How the samples are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Process {
    Sequential,
    Progressive,
    Lossless,
}

/// How the frame's coefficients are encoded as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    Huffman,
    Arithmetic,
}

/// The contents of a frame header.
pub struct Frame {
    pub process: Process,
    pub coding: Coding,
    pub size: Size,
    components: [Component; COMPONENTS_MAX],
    count: usize,
}

/// A component: brightness, a colour difference, an ink.
#[derive(Clone, Copy, Default)]
pub struct Component {
    pub id: u8,
    pub horizontal: u8,
    pub vertical: u8,
    pub quantization: u8,
    /// Whether a scan has begun it. Its quantization table is fixed from then on.
    pub is_begun: bool,
}

impl Frame {
    /// Reads the payload of a start-of-frame marker.
    pub fn read(marker: u8, payload: &[u8]) -> Result<Self, Unreadable> {
        let (process, coding) = kind(marker)?;
        let [precision, y1, y0, x1, x0, count, specifications @ ..] = payload else {
            return Err(unsound("its frame header is too short"));
        };
        if *precision != 8 {
            return Err(unsupported("its samples have other than 8 bits"));
        }
        let height = u16::from_be_bytes([*y1, *y0]).into();
        let width = u16::from_be_bytes([*x1, *x0]).into();
        if height == 0 {
            return Err(unsupported("its header gives no height (as with a DNL marker)"));
        }
        let size = Size { width, height };
        size.check(FORMAT)?;
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported("it has other than 1, 3 or 4 colour components"));
        }
        let (read, rest) = specifications.as_chunks::<3>();
        let count = usize::from(*count);
        if read.len() != count || !rest.is_empty() {
            return Err(unsound("its frame header has the wrong length for its components"));
        }
        let mut components = [Component::default(); COMPONENTS_MAX];
        for (component, read) in components.iter_mut().zip(read) {
            *component = Component::read(*read);
        }
        let frame = Self { process, coding, size, components, count };
        frame.check_sampling()?;
        Ok(frame)
    }

    pub fn components(&self) -> &[Component] {
        &self.components[..self.count]
    }

    pub fn components_mut(&mut self) -> &mut [Component] {
        &mut self.components[..self.count]
    }

    /// Checks that the factors are 1 to 4, and that each divides the largest.
    fn check_sampling(&self) -> Result<(), Unreadable> {
        let factors = |of: fn(&Component) -> u8| self.components().iter().map(of);
        for of in [|c: &Component| c.horizontal, |c: &Component| c.vertical] {
            if factors(of).any(|factor| factor == 0 || factor > SAMPLING_MAX) {
                return Err(unsound("a sampling factor is not 1 to 4"));
            }
            let finest = factors(of).max().unwrap_or(1);
            if factors(of).any(|factor| finest % factor != 0) {
                return Err(unsupported("its sampling factors don't divide each other"));
            }
        }
        Ok(())
    }
}

impl Component {
    const fn read([id, sampling, quantization]: [u8; 3]) -> Self {
        let (horizontal, vertical) = (sampling >> 4, sampling & 0x0f);
        Self { id, horizontal, vertical, quantization, is_begun: false }
    }
}

/// The process and coding that a frame marker stands for.
fn kind(marker: u8) -> Result<(Process, Coding), Unreadable> {
    match marker {
        0xc0 | 0xc1 => Ok((Process::Sequential, Coding::Huffman)),
        0xc2 => Ok((Process::Progressive, Coding::Huffman)),
        0xc3 => Ok((Process::Lossless, Coding::Huffman)),
        0xc9 => Ok((Process::Sequential, Coding::Arithmetic)),
        0xca => Ok((Process::Progressive, Coding::Arithmetic)),
        0xcb => Err(unsupported("its compression is lossless and arithmetic")),
        _ => Err(unsupported("its compression is hierarchical")),
    }
}

//! The tables that a JPEG's scans are decoded with: which are there, and whether they can be used.
//!
//! No table is kept: what a scan asks of one is known when it is read.

use super::{Unreadable, unsound};

/// How many tables there may be of each sort (ITU T.81, annex B).
const SLOTS: usize = 4;

/// How many code lengths a Huffman table counts.
const CODE_LENGTHS: usize = 16;

/// The most symbols of a Huffman table.
const SYMBOLS_MAX: usize = 256;

/// The largest symbol of a table for DC coefficients: the bits of a difference.
const DC_SYMBOL_MAX: u8 = 15;

/// The same where there are no coefficients.
const LOSSLESS_SYMBOL_MAX: u8 = 16;

/// The values of a quantization table.
const QUANTIZATION_VALUES: usize = 64;

const BAD_HUFFMAN: Unreadable = unsound("a Huffman table is broken");
const BAD_QUANTIZATION: Unreadable = unsound("a quantization table is broken");

/// The tables defined so far.
#[derive(Default)]
pub struct Tables {
    quantization: [bool; SLOTS],
    dc: [Option<Huffman>; SLOTS],
    ac: [Option<Huffman>; SLOTS],
}

/// What is asked of a Huffman table when a scan names it.
#[derive(Clone, Copy)]
struct Huffman {
    has_a_code_for_each: bool,
    symbol_max: u8,
}

/// What a Huffman table is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Dc,
    Ac,
    Lossless,
}

impl Tables {
    /// DQT: any number of tables, of bytes or of pairs of bytes.
    pub fn define_quantization(&mut self, payload: &[u8]) -> Result<(), Unreadable> {
        let mut rest = payload;
        while let [head, values @ ..] = rest {
            let value_bytes = if head >> 4 == 0 { 1 } else { 2 };
            let slot = self.quantization.get_mut(usize::from(head & 0x0f));
            *slot.ok_or(BAD_QUANTIZATION)? = true;
            rest = values.get(value_bytes * QUANTIZATION_VALUES..).ok_or(BAD_QUANTIZATION)?;
        }
        Ok(())
    }

    /// DHT: any number of tables.
    pub fn define_huffman(&mut self, payload: &[u8]) -> Result<(), Unreadable> {
        let mut rest = payload;
        while let [head, table @ ..] = rest {
            let (huffman, after) = Huffman::read(table)?;
            let slots = if head & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = slots.get_mut(usize::from(head & !0x10));
            *slot.ok_or(BAD_HUFFMAN)? = Some(huffman);
            rest = after;
        }
        Ok(())
    }

    /// Before the first scan of a sequential JPEG: decoders add the tables that the frames of
    /// Motion JPEG leave out.
    pub fn add_defaults(&mut self) {
        let default = Huffman { has_a_code_for_each: true, symbol_max: 0 };
        for slots in [&mut self.dc, &mut self.ac] {
            for slot in &mut slots[..2] {
                slot.get_or_insert(default);
            }
        }
    }

    pub fn need_quantization(&self, slot: u8) -> Result<(), Unreadable> {
        match self.quantization.get(usize::from(slot)) {
            Some(true) => Ok(()),
            Some(false) | None => Err(unsound("a quantization table is missing")),
        }
    }

    pub fn need_huffman(&self, purpose: Purpose, slot: u8) -> Result<(), Unreadable> {
        let (slots, symbol_max) = match purpose {
            Purpose::Dc => (&self.dc, DC_SYMBOL_MAX),
            Purpose::Ac => (&self.ac, u8::MAX),
            Purpose::Lossless => (&self.dc, LOSSLESS_SYMBOL_MAX),
        };
        let table = slots.get(usize::from(slot)).copied().flatten();
        let table = table.ok_or(unsound("a Huffman table is missing"))?;
        let is_usable = table.has_a_code_for_each && table.symbol_max <= symbol_max;
        if is_usable { Ok(()) } else { Err(BAD_HUFFMAN) }
    }
}

impl Huffman {
    /// How many codes there are of each length, then their symbols.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Unreadable> {
        let (counts, rest) = bytes.split_first_chunk::<CODE_LENGTHS>().ok_or(BAD_HUFFMAN)?;
        let symbols = counts.iter().copied().map(usize::from).sum();
        if symbols > SYMBOLS_MAX {
            return Err(BAD_HUFFMAN);
        }
        let (symbols, rest) = rest.split_at_checked(symbols).ok_or(BAD_HUFFMAN)?;
        let symbol_max = symbols.iter().copied().max().unwrap_or(0);
        Ok((Self { has_a_code_for_each: codes_fit(counts), symbol_max }, rest))
    }
}

/// Codes are counted up through the lengths, and the one of ones alone is reserved.
fn codes_fit(counts: &[u8; CODE_LENGTHS]) -> bool {
    let mut code = 0;
    (1..).zip(counts).all(|(length, count)| {
        code = (code << 1) + u32::from(*count);
        code < 1 << length
    })
}

/// DAC: pairs of a table and its value, which holds a lower and an upper bound for DC.
pub fn check_arithmetic(payload: &[u8]) -> Result<(), Unreadable> {
    let (pairs, rest) = payload.as_chunks::<2>();
    let is_sound = |[table, value]: &[u8; 2]| match table {
        0..=15 => value & 0x0f <= value >> 4,
        _ => *table < 32,
    };
    if rest.is_empty() && pairs.iter().all(is_sound) {
        Ok(())
    } else {
        Err(unsound("a table for arithmetic coding is broken"))
    }
}

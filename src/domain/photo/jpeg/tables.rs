//! The tables that a JPEG's scans are decoded with: which are defined, and whether they are usable.
//!
//! It deliberately keeps no table: all that a scan requires of one is known when the table is read.

use super::{Unreadable, unsound};

/// How many tables of each kind there may be (ITU T.81, annex B).
const SLOTS: usize = 4;

/// How many code lengths a Huffman table counts.
const CODE_LENGTHS: usize = 16;

/// The most symbols of a Huffman table.
const SYMBOLS_MAX: usize = 256;

/// The largest symbol of a table for DC coefficients: the bit length of a difference.
const DC_SYMBOL_MAX: u8 = 15;

/// The largest symbol of a lossless scan's table, which has no coefficients.
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

/// What a scan requires of a Huffman table.
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
    /// DQT: any number of tables, each of bytes or of pairs of bytes.
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

    /// Adds the tables that Motion JPEG leaves out of its frames, as decoders do before the first
    /// scan of a sequential JPEG.
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
    /// Reads the number of codes of each length, then their symbols.
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

/// Whether the codes fit. They are counted up through the lengths, and the code of all ones is
/// reserved.
fn codes_fit(counts: &[u8; CODE_LENGTHS]) -> bool {
    let mut code = 0;
    (1..).zip(counts).all(|(length, count)| {
        code = (code << 1) + u32::from(*count);
        code < 1 << length
    })
}

/// DAC: pairs of a table and its value. For DC, the value holds a lower and an upper bound.
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

//! [`KeptImage`]: a linked image as data, to be mapped into a later process.
//!
//! All that a linker decides is in it: bytes at fixed addresses, with every
//! reference inside the image filled in. What is left to do in a process is
//! listed: words that hold outside addresses, and the steps of a publish that
//! run in the target (libraries opened, thread-locals, unwind entries,
//! finalisers, initialisers), as the requests that a worker would have been
//! sent.
//!
//! It is two byte strings: the *content*, whole pages to be mapped from a file,
//! and the *plan*, everything else. This file does no I/O.

use super::mapping::PAGE;
use super::wire::{Decoder, Encoder, Garbled, Request};
use crate::Protection;

/// See the [module page](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptImage {
    /// The address of `main`.
    pub main: u64,
    /// What is mapped where.
    pub regions: Vec<KeptRegion>,
    /// Outside names whose addresses the image holds.
    pub names: Vec<KeptName>,
    /// Weak names that nobody had: their references are zero.
    pub absent: Vec<(String, Option<String>)>,
    /// What a publish asks of its target, in order.
    pub steps: Vec<Request>,
}

/// One range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRegion {
    /// Its first address.
    pub start: u64,
    /// How many bytes are accessible.
    pub length: u64,
    /// What the pages are for.
    pub protection: Protection,
    /// The bytes that are not zero at its end. Empty in an image that was
    /// decoded: there they are in the content.
    pub bytes: Vec<u8>,
}

/// An outside name, and where its address is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptName {
    /// The name.
    pub name: String,
    /// Its version, when the object named one.
    pub version: Option<String>,
    /// Where its address goes.
    pub places: Vec<Place>,
}

/// A word that holds an outside address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The word's address; it lies in a region of data.
    pub at: u64,
    /// What is added to the outside address.
    pub addend: i64,
}

/// A region's range in the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// From the content's start; whole pages.
    pub offset: u64,
    /// Whole pages.
    pub length: u64,
}

impl KeptImage {
    /// The pages, in the order of the regions, each from a page's start.
    pub fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        for region in &self.regions {
            content.extend_from_slice(&region.bytes);
            content.resize(content.len().next_multiple_of(PAGE as usize), 0);
        }
        content
    }

    /// Everything else.
    pub fn plan(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.numbers(&[self.main, self.regions.len() as u64]);
        for region in &self.regions {
            let held = (region.bytes.len() as u64).next_multiple_of(PAGE);
            out.numbers(&[region.start, region.length, held]);
            out.tag(match region.protection {
                Protection::Code => 0,
                Protection::ReadOnly => 1,
                Protection::Data => 2,
            });
        }
        out.numbers(&[self.names.len() as u64]);
        for name in &self.names {
            put_name(&mut out, &name.name, name.version.as_deref());
            out.numbers(&[name.places.len() as u64]);
            for place in &name.places {
                out.numbers(&[place.at, place.addend.cast_unsigned()]);
            }
        }
        out.numbers(&[self.absent.len() as u64]);
        for (name, version) in &self.absent {
            put_name(&mut out, name, version.as_deref());
        }
        out.numbers(&[self.steps.len() as u64]);
        for step in &self.steps {
            out.bytes(&step.encode());
        }
        out.0
    }

    /// The image that a plan describes, and where each region's bytes lie in
    /// the content. Every place was checked to lie in a region of data.
    pub fn decode(plan: &[u8]) -> Result<(KeptImage, Vec<ContentRange>), Garbled> {
        let mut from = Decoder(plan);
        let main = from.number()?;
        let mut offset = 0;
        let (regions, ranges) = from
            .list(|from| {
                let (start, length) = (from.number()?, from.number()?);
                let range = ContentRange {
                    offset,
                    length: from.number()?,
                };
                let whole = [start, length, range.length]
                    .iter()
                    .all(|n| n.is_multiple_of(PAGE));
                let past = start.checked_add(length);
                if !whole || past.is_none() || range.length > length {
                    return Err(Garbled);
                }
                offset = offset.checked_add(range.length).ok_or(Garbled)?;
                let region = KeptRegion {
                    start,
                    length,
                    protection: match from.tag()? {
                        0 => Protection::Code,
                        1 => Protection::ReadOnly,
                        2 => Protection::Data,
                        _ => return Err(Garbled),
                    },
                    bytes: Vec::new(),
                };
                Ok((region, range))
            })?
            .into_iter()
            .unzip();
        let image = KeptImage {
            main,
            regions,
            names: from.list(|from| {
                let (name, version) = take_name(from)?;
                let places = from.list(|from| {
                    Ok(Place {
                        at: from.number()?,
                        addend: from.number()?.cast_signed(),
                    })
                })?;
                Ok(KeptName {
                    name,
                    version,
                    places,
                })
            })?,
            absent: from.list(take_name)?,
            steps: from.list(|from| Request::decode(from.bytes()?))?,
        };
        let places = image.names.iter().flat_map(|name| &name.places);
        if !places.into_iter().all(|place| image.is_data(place.at)) {
            return Err(Garbled);
        }
        from.end((image, ranges))
    }

    /// Whether a word lies in data.
    fn is_data(&self, at: u64) -> bool {
        self.regions.iter().any(|region| {
            let end = region.start + region.length;
            region.protection == Protection::Data && (region.start..end - 7).contains(&at)
        })
    }
}

fn put_name(out: &mut Encoder, name: &str, version: Option<&str>) {
    out.bytes(name.as_bytes());
    out.tag(u8::from(version.is_some()));
    if let Some(version) = version {
        out.bytes(version.as_bytes());
    }
}

fn take_name(from: &mut Decoder<'_>) -> Result<(String, Option<String>), Garbled> {
    let name = from.text()?;
    let version = match from.flag()? {
        true => Some(from.text()?),
        false => None,
    };
    Ok((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> KeptImage {
        KeptImage {
            main: 0x1000,
            regions: vec![
                KeptRegion {
                    start: 0x1000,
                    length: 0x2000,
                    protection: Protection::Code,
                    bytes: vec![0xc3; 10],
                },
                KeptRegion {
                    start: 0x4000,
                    length: 0x1000,
                    protection: Protection::Data,
                    bytes: vec![],
                },
            ],
            names: vec![KeptName {
                name: "puts".into(),
                version: Some("GLIBC_2.2.5".into()),
                places: vec![Place {
                    at: 0x4ff8,
                    addend: -8,
                }],
            }],
            absent: vec![("gone".into(), None)],
            steps: vec![Request::AtExit { function: 0x1004 }],
        }
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let mut image = image();
        let (read, ranges) = KeptImage::decode(&image.plan()).unwrap();
        assert_eq!(image.content().len(), 0x1000);
        assert_eq!((ranges[0].offset, ranges[0].length), (0, 0x1000));
        assert_eq!((ranges[1].offset, ranges[1].length), (0x1000, 0));
        image.regions[0].bytes.clear();
        assert_eq!(read, image);
    }

    #[test]
    fn a_plan_that_was_damaged_is_refused_or_harmless() {
        let plan = image().plan();
        for cut in 0..plan.len() {
            assert!(KeptImage::decode(&plan[..cut]).is_err());
        }
        for bit in 0..plan.len() * 8 {
            let mut bent = plan.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let _ = KeptImage::decode(&bent);
        }
        let mut outside = image();
        outside.names[0].places[0].at = 0x4ffc;
        assert_eq!(KeptImage::decode(&outside.plan()), Err(Garbled));
    }
}

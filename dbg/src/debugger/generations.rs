//! What was appended, as the user sees it: `info generations`, `info image`.

use sapwood_link::Generation;

use super::{Debugger, Events};
use crate::error::Result;
use crate::event::{Event, GenerationView};
use crate::target::Address;

impl Debugger {
    /// A generation as the user sees it.
    pub(super) fn generation_view(&self, generation: Generation) -> Option<GenerationView> {
        let view = self.image.as_ref()?.session.view();
        let added = view.added(generation);
        let from = added
            .input_ids()
            .map(|input| view.input_name(input).to_owned())
            .collect();
        let mut defined: Vec<_> = added
            .symbol_ids()
            .map(|id| view.symbol_by_id(id))
            .filter(|s| matches!(s.definition, sapwood_link::Definition::Atom(..)))
            .collect();
        // As symbol tables have them: what a file keeps to itself comes first.
        defined.sort_by_key(|symbol| symbol.binding != sapwood_link::Binding::Local);
        let symbols = defined
            .into_iter()
            .map(|s| (s.name.to_owned(), Address(s.address.get()), s.size))
            .collect();
        let bytes = added.atom_ids().map(|atom| view.atom(atom).size).sum();
        Some(GenerationView {
            number: generation.index() as u64,
            from,
            symbols,
            bytes,
        })
    }

    /// `info generations`.
    pub(super) fn info_generations(&mut self, events: Events<'_>) -> Result<()> {
        let view = self.image.as_ref().map(|image| image.session.view());
        let all = view
            .iter()
            .flat_map(|view| view.since(Generation::EMPTY))
            .filter_map(|added| self.generation_view(added.generation))
            .collect();
        events(Event::Generations(all));
        Ok(())
    }

    /// `info image`.
    pub(super) fn image_text(&self) -> Result<String> {
        use std::fmt::Write;
        let Some(image) = &self.image else {
            return Ok("Nothing has been appended to the program.\n".to_owned());
        };
        let mut text = format!("{}\n", image.session.generation());
        for (region, used) in image.session.regions() {
            let range = region.range();
            let _ = writeln!(
                text,
                "{:#018x} - {:#018x} {:<9} {used} of {} bytes used",
                range.start.get(),
                range.end.get(),
                format!("{:?}", region.protection),
                region.length
            );
        }
        Ok(text)
    }
}

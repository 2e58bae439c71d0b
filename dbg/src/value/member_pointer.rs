//! C++'s pointers to members, as the Itanium ABI keeps them: of data the offset,
//! -1 for none; of a function its address, or one more than its place in the
//! table of virtual functions, and what is added to `this`.

use sapwood_dwarf::{Address, MemberOffset, ModuleId, TypeId, TypeKind};

use super::types::{Naming, declare};
use super::{Error, Reader, Shape, Type, format};

impl Reader<'_> {
    /// A pointer to a member, by the member's name where it has one.
    pub(super) fn member_pointer_text(&self, ty: &Type, bytes: &[u8]) -> Result<String, Error> {
        let stripped = ty.stripped(self.modules)?;
        let (Type::Described(module, _), Some(description)) =
            (&stripped, stripped.description(self.modules)?)
        else {
            return Ok(format::signed(bytes).to_string());
        };
        let TypeKind::MemberPointer { to, class } = &description.kind else {
            return Ok(format::signed(bytes).to_string());
        };
        let class = Type::Described(*module, *class);
        match Type::Described(*module, *to).shape(self.modules)? {
            Shape::Function { .. } if bytes.len() >= 16 => {
                self.method_pointer_text(ty, &class, &bytes[..16])
            }
            _ => self.data_pointer_text(&class, format::signed(bytes) as i64),
        }
    }

    fn data_pointer_text(&self, class: &Type, offset: i64) -> Result<String, Error> {
        if offset == -1 {
            return Ok("NULL".to_owned());
        }
        let name = class.name(self.modules);
        if let Shape::Composite(_, description) = class.shape(self.modules)?
            && let TypeKind::Composite(composite) = &description.kind
        {
            let wanted = MemberOffset::Bytes(offset as u64);
            let mut members = composite.members.iter();
            let member = members.find(|member| !member.is_base && member.offset == wanted);
            if let Some(member) = member.and_then(|member| member.name.as_ref()) {
                return Ok(format!("&{name}::{member}"));
            }
        }
        Ok(offset.to_string())
    }

    fn method_pointer_text(&self, ty: &Type, class: &Type, bytes: &[u8]) -> Result<String, Error> {
        let (function, adjustment) = bytes.split_at(8);
        let function = format::unsigned(function) as u64;
        let adjustment = format::signed(adjustment) as i64;
        let mut text = match function {
            0 => "NULL".to_owned(),
            at if at & 1 == 1 => match self.virtual_method(class, (at - 1) / 8)? {
                Some(name) => format!("&virtual {name}"),
                None => format!("&virtual table offset {}", at - 1),
            },
            at => {
                let symbol = self.symbol_text(Address(at), false).unwrap_or_default();
                format!("({}) {at:#x}{symbol}", ty.name(self.modules))
            }
        };
        if adjustment != 0 {
            text.push_str(&format!(", this adjustment {adjustment}"));
        }
        Ok(text)
    }

    /// The virtual function that has that place in a class's table, with its
    /// parameters' types.
    fn virtual_method(&self, class: &Type, slot: u64) -> Result<Option<String>, Error> {
        let Shape::Composite(module, description) = class.shape(self.modules)? else {
            return Ok(None);
        };
        let TypeKind::Composite(composite) = &description.kind else {
            return Ok(None);
        };
        let mut methods = composite.methods.iter();
        let found = methods.find(|method| method.is_virtual && method.slot == Some(slot));
        if let Some(method) = found {
            let name = class.name(self.modules);
            let id = TypeId(method.id);
            let parameters = self.signature(module, id, method.hidden)?;
            return Ok(Some(format!("{name}::{}{parameters}", method.name)));
        }
        let bases = composite.members.iter().filter(|member| member.is_base);
        for base in bases {
            let base = Type::Described(module, base.type_id);
            if let Some(found) = self.virtual_method(&base, slot)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// `(int, char *) const`: what tells overloaded functions apart.
    pub(crate) fn signature(
        &self,
        module: ModuleId,
        function: TypeId,
        hidden: usize,
    ) -> Result<String, Error> {
        let ty = Type::Described(module, function);
        let Shape::Function {
            parameters,
            is_variadic,
            ..
        } = ty.shape(self.modules)?
        else {
            return Ok(String::new());
        };
        let parameters = parameters.unwrap_or_default();
        let naming = Naming::of(self.modules);
        let mut list: Vec<String> = parameters
            .iter()
            .skip(hidden)
            .map(|ty| declare(ty, "", naming, 0))
            .collect();
        if is_variadic {
            list.push("...".to_owned());
        }
        let mut text = format!("({})", list.join(", "));
        if hidden > 0
            && let Some(Shape::Pointer(object)) = parameters
                .first()
                .and_then(|this| this.shape(self.modules).ok())
            && object.name(self.modules).starts_with("const ")
        {
            text.push_str(" const");
        }
        Ok(text)
    }
}

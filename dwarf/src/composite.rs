//! Structs, classes and unions: what they are made of.

use gimli::constants as c;

use crate::EntryId;
use crate::info::{Slice, Value};
use crate::types::{Reading, TypeId};

/// A struct, class or union.
#[derive(Clone, PartialEq, Debug)]
pub struct Composite {
    /// Which of them.
    pub keyword: Keyword,
    /// Its data members and base classes, in order of declaration.
    pub members: Vec<Member>,
    /// Its static data members.
    pub statics: Vec<StaticMember>,
    /// Its template or generic type arguments.
    pub arguments: Vec<TemplateArgument>,
    /// Those that its last parameter takes all of, where that is a pack.
    pub pack: Option<Vec<TemplateArgument>>,
    /// The types with names that are declared within it.
    pub nested: Vec<(TypeId, Access)>,
    /// What tells the variants of a Rust enum apart, and the variants.
    pub variants: Option<Variants>,
    /// Its functions, in order of declaration.
    pub methods: Vec<Method>,
    /// The names that it gives to types.
    pub typedefs: Vec<(TypeId, Access)>,
    /// Whether it is only declared here, and no unit of the module defines it.
    pub is_declaration: bool,
}

/// Which composite type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Keyword {
    /// `struct`.
    Struct,
    /// `class`.
    Class,
    /// `union`.
    Union,
}

/// A data member or base class.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Its name; `None` for an unnamed struct or union within.
    pub name: Option<String>,
    /// Its type.
    pub type_id: TypeId,
    /// Where it begins.
    pub offset: MemberOffset,
    /// For a bit-field, its width in bits; its place is then
    /// `MemberOffset::Bits`.
    pub bit_size: Option<u64>,
    /// Whether it is a base class.
    pub is_base: bool,
    /// Whether it is a base class that all of an object's parts share.
    pub is_virtual: bool,
    /// Whether the compiler made it up.
    pub is_artificial: bool,
    /// Who may name it.
    pub access: Access,
}

/// Who may name a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Access {
    /// Everybody.
    Public,
    /// The class and those derived from it.
    Protected,
    /// The class alone.
    Private,
}

/// A function of a class.
#[derive(Clone, PartialEq, Debug)]
pub struct Method {
    /// Its declaration, which is its type too.
    pub id: EntryId,
    /// Its name.
    pub name: String,
    /// What its symbol is called.
    pub linkage_name: Option<String>,
    /// Who may name it.
    pub access: Access,
    /// Whether a derived class may have its own.
    pub is_virtual: bool,
    /// How many parameters the compiler made up: none for one that is of the
    /// class rather than of an object.
    pub hidden: usize,
    /// Whether the compiler made it up.
    pub is_artificial: bool,
    /// Its place in the table of virtual functions.
    pub slot: Option<u64>,
    /// Whether the class leaves it to the compiler, and says so.
    pub is_defaulted: bool,
    /// Whether nobody may call it.
    pub is_deleted: bool,
}

/// Where a member begins, from the start of its struct.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberOffset {
    /// That many bytes on.
    Bytes(u64),
    /// That many bits on, counted from the least significant bit of the first
    /// byte.
    Bits(u64),
    /// Where a location expression says (a virtual base class). Evaluate it
    /// with [`Module::member_address`].
    Computed(EntryId),
}

/// A static data member.
#[derive(Clone, PartialEq, Debug)]
pub struct StaticMember {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_id: TypeId,
    /// Its value, where it is a constant.
    pub value: Option<i128>,
    /// Who may name it.
    pub access: Access,
    /// How many data members were declared before it.
    pub position: usize,
}

/// A template or generic argument.
#[derive(Clone, PartialEq, Debug)]
pub struct TemplateArgument {
    /// The parameter's name.
    pub name: Option<String>,
    /// The type it stands for, or the type of its value.
    pub type_id: Option<TypeId>,
    /// Its value, for one that is not a type.
    pub value: Option<i128>,
}

/// The variants of a Rust enum.
#[derive(Clone, PartialEq, Debug)]
pub struct Variants {
    /// The member that tells them apart; `None` where there is only one.
    pub discriminant: Option<Box<Member>>,
    /// The variants.
    pub variants: Vec<Variant>,
}

/// One variant of a Rust enum.
#[derive(Clone, PartialEq, Debug)]
pub struct Variant {
    /// The discriminants that select it; empty for the one that all others
    /// select.
    pub selectors: Vec<std::ops::RangeInclusive<i128>>,
    /// Its contents, one member named as the variant is.
    pub members: Vec<Member>,
}

impl Reading<'_, '_> {
    /// A struct, class or union.
    pub(crate) fn composite(&self) -> Composite {
        let keyword = match self.entry.tag() {
            c::DW_TAG_union_type => Keyword::Union,
            c::DW_TAG_class_type => Keyword::Class,
            _ => Keyword::Struct,
        };
        let mut composite = Composite {
            keyword,
            members: Vec::new(),
            statics: Vec::new(),
            arguments: Vec::new(),
            pack: None,
            nested: Vec::new(),
            variants: None,
            methods: Vec::new(),
            typedefs: Vec::new(),
            is_declaration: self.flag(c::DW_AT_declaration),
        };
        // What is said of nobody is private in a class, and public elsewhere.
        let usual = match keyword {
            Keyword::Class => Access::Private,
            Keyword::Struct | Keyword::Union => Access::Public,
        };
        for child in self.children() {
            match child.entry.tag() {
                c::DW_TAG_member | c::DW_TAG_variable if child.is_static() => {
                    let position = composite.members.len();
                    let access = child.access(usual);
                    let found = child.static_member(access, position);
                    composite.statics.extend(found);
                }
                c::DW_TAG_member => {
                    let access = child.access(usual);
                    let found = child.member();
                    composite
                        .members
                        .extend(found.map(|member| Member { access, ..member }));
                }
                c::DW_TAG_inheritance => {
                    let access = child.access(usual);
                    let found = child.base_class();
                    composite
                        .members
                        .extend(found.map(|member| Member { access, ..member }));
                }
                c::DW_TAG_typedef => {
                    let access = child.access(usual);
                    composite.typedefs.push((TypeId(child.id), access));
                }
                c::DW_TAG_template_type_parameter | c::DW_TAG_template_value_parameter => {
                    composite.arguments.push(child.template_argument());
                }
                c::DW_TAG_GNU_template_parameter_pack => {
                    let children = child.children();
                    let arguments = children.iter().map(Reading::template_argument);
                    composite.pack = Some(arguments.collect());
                }
                c::DW_TAG_structure_type
                | c::DW_TAG_class_type
                | c::DW_TAG_union_type
                | c::DW_TAG_enumeration_type
                    if child.entry.has_attr(c::DW_AT_name) =>
                {
                    let access = child.access(usual);
                    composite.nested.push((TypeId(child.id), access));
                }
                c::DW_TAG_subprogram => {
                    composite.methods.push(child.method(usual));
                }
                c::DW_TAG_variant_part => composite.variants = Some(child.variants()),
                _ => {}
            }
        }
        composite
    }

    fn template_argument(&self) -> TemplateArgument {
        TemplateArgument {
            name: self.text(c::DW_AT_name),
            type_id: self.reference(c::DW_AT_type),
            value: self.number(c::DW_AT_const_value),
        }
    }

    fn is_static(&self) -> bool {
        self.entry.tag() == c::DW_TAG_variable
            || self.flag(c::DW_AT_external)
            || (self.entry.has_attr(c::DW_AT_const_value)
                && !self.entry.has_attr(c::DW_AT_data_member_location))
    }

    fn static_member(&self, access: Access, position: usize) -> Option<StaticMember> {
        Some(StaticMember {
            name: self.text(c::DW_AT_name)?,
            type_id: self.reference(c::DW_AT_type)?,
            value: self.number(c::DW_AT_const_value),
            access,
            position,
        })
    }

    fn access(&self, usual: Access) -> Access {
        match self.number(c::DW_AT_accessibility) {
            Some(1) => Access::Public,
            Some(2) => Access::Protected,
            Some(3) => Access::Private,
            _ => match self.entry.attr_value(c::DW_AT_accessibility) {
                Some(Value::Accessibility(c::DW_ACCESS_public)) => Access::Public,
                Some(Value::Accessibility(c::DW_ACCESS_protected)) => Access::Protected,
                Some(Value::Accessibility(c::DW_ACCESS_private)) => Access::Private,
                _ => usual,
            },
        }
    }

    fn is_virtual(&self) -> bool {
        matches!(
            self.entry.attr_value(c::DW_AT_virtuality),
            Some(Value::Virtuality(
                c::DW_VIRTUALITY_virtual | c::DW_VIRTUALITY_pure_virtual
            ))
        )
    }

    fn method(&self, usual: Access) -> Method {
        let slot = match self.entry.attr_value(c::DW_AT_vtable_elem_location) {
            Some(Value::Exprloc(expression)) => constant_slot(expression.0.slice()),
            Some(_) => self.unsigned(c::DW_AT_vtable_elem_location),
            None => None,
        };
        let children = self.children();
        let hidden = children.iter().filter(|child| {
            child.entry.tag() == c::DW_TAG_formal_parameter && child.flag(c::DW_AT_artificial)
        });
        Method {
            id: self.id,
            name: self.text(c::DW_AT_name).unwrap_or_default(),
            linkage_name: self
                .text(c::DW_AT_linkage_name)
                .or_else(|| self.text(c::DW_AT_MIPS_linkage_name)),
            access: self.access(usual),
            is_virtual: self.is_virtual(),
            hidden: hidden.count(),
            is_artificial: self.flag(c::DW_AT_artificial),
            slot,
            is_defaulted: self.number(c::DW_AT_defaulted) == Some(1),
            is_deleted: self.flag(c::DW_AT_deleted),
        }
    }

    fn member(&self) -> Option<Member> {
        let type_id = self.reference(c::DW_AT_type)?;
        let bit_size = self.unsigned(c::DW_AT_bit_size);
        Some(Member {
            name: self.text(c::DW_AT_name),
            type_id,
            offset: self.member_offset(type_id, bit_size),
            bit_size,
            is_base: false,
            is_virtual: false,
            is_artificial: self.flag(c::DW_AT_artificial),
            access: Access::Public,
        })
    }

    fn base_class(&self) -> Option<Member> {
        let type_id = self.reference(c::DW_AT_type)?;
        let name = Some(self.info.qualified_name(type_id.0));
        let offset = self.member_offset(type_id, None);
        Some(Member {
            name,
            type_id,
            offset,
            bit_size: None,
            is_base: true,
            is_virtual: self.is_virtual(),
            is_artificial: false,
            access: Access::Public,
        })
    }

    /// Where a member begins.
    ///
    /// A bit-field is described by `DW_AT_data_bit_offset`, counted from the
    /// struct's start, or, before DWARF 4, by `DW_AT_bit_offset`, counted from
    /// the most significant bit of a storage unit down.
    fn member_offset(&self, type_id: TypeId, bit_size: Option<u64>) -> MemberOffset {
        let bytes = match self.entry.attr_value(c::DW_AT_data_member_location) {
            None => 0,
            Some(Value::Exprloc(expression)) => match constant_offset(expression.0.slice()) {
                Some(offset) => offset,
                None => return MemberOffset::Computed(self.id),
            },
            Some(_) => match self.unsigned(c::DW_AT_data_member_location) {
                Some(offset) => offset,
                None => return MemberOffset::Computed(self.id),
            },
        };
        let Some(bit_size) = bit_size else {
            return MemberOffset::Bytes(bytes);
        };
        if let Some(bits) = self.unsigned(c::DW_AT_data_bit_offset) {
            return MemberOffset::Bits(bytes.saturating_mul(8).saturating_add(bits));
        }
        let from_top = self.number(c::DW_AT_bit_offset).unwrap_or(0) as i64;
        let storage = self
            .unsigned(c::DW_AT_byte_size)
            .or_else(|| self.info.byte_size(type_id.0, 0))
            .unwrap_or(4);
        let bits = (bytes.saturating_add(storage).min(1 << 56) as i64) * 8;
        let first = bits
            .saturating_sub(from_top)
            .saturating_sub(bit_size.min(1 << 20) as i64);
        MemberOffset::Bits(u64::try_from(first).unwrap_or(0))
    }

    fn variants(&self) -> Variants {
        let discriminant = self.entry.attr_value(c::DW_AT_discr);
        let discriminant = discriminant.and_then(|value| self.info.follow(self.id.unit, value));
        let mut size = 16;
        let discriminant = discriminant.and_then(|id| {
            let member = Reading::new(self.info, id)?.member()?;
            size = self.info.byte_size(member.type_id.0, 0).unwrap_or(16);
            Some(Box::new(member))
        });
        let mut variants = Vec::new();
        for child in self.children() {
            if child.entry.tag() == c::DW_TAG_variant {
                let members = child.children();
                let members = members.iter().filter(|m| m.entry.tag() == c::DW_TAG_member);
                variants.push(Variant {
                    selectors: child.selectors(size),
                    members: members.filter_map(Reading::member).collect(),
                });
            }
        }
        Variants {
            discriminant,
            variants,
        }
    }

    /// The discriminants, as unsigned numbers of the discriminant's size.
    fn selectors(&self, size: u64) -> Vec<std::ops::RangeInclusive<i128>> {
        let mask = if size >= 16 {
            -1
        } else {
            (1i128 << (8 * size)) - 1
        };
        let single = self.number(c::DW_AT_discr_value).map(|value| value & mask);
        if let Some(value) = single {
            return vec![value..=value];
        }
        let Some(Value::Block(list)) = self.entry.attr_value(c::DW_AT_discr_list) else {
            return Vec::new();
        };
        use gimli::Reader;
        let mut list = list;
        let mut selectors = Vec::new();
        while let Ok(label) = list.read_u8() {
            let Ok(low) = list.read_uleb128() else { break };
            let high = if label == 1 {
                list.read_uleb128()
            } else {
                Ok(low)
            };
            let Ok(high) = high else { break };
            selectors.push((i128::from(low) & mask)..=(i128::from(high) & mask));
        }
        selectors
    }
}

/// The offset that `DW_OP_plus_uconst N` adds, as DWARF 2 writes offsets.
fn constant_offset(expression: &[u8]) -> Option<u64> {
    use gimli::Reader;
    let mut reader = Slice::new(expression, gimli::LittleEndian);
    if reader.read_u8().ok()? != c::DW_OP_plus_uconst.0 {
        return None;
    }
    let offset = reader.read_uleb128().ok()?;
    reader.slice().is_empty().then_some(offset)
}

/// The number that `DW_OP_constu N` pushes: a virtual function's place.
fn constant_slot(expression: &[u8]) -> Option<u64> {
    use gimli::Reader;
    let mut reader = Slice::new(expression, gimli::LittleEndian);
    if reader.read_u8().ok()? != c::DW_OP_constu.0 {
        return None;
    }
    reader.read_uleb128().ok()
}

//! [`header_of`]: which of the standard library's headers has a name.

/// Names by the header that defines them, without `std::`.
const HEADERS: &[(&str, &[&str])] = &[
    (
        "algorithm",
        &[
            "sort",
            "find",
            "find_if",
            "count",
            "count_if",
            "max",
            "min",
            "reverse",
            "for_each",
            "any_of",
            "all_of",
            "none_of",
            "copy",
            "transform",
            "max_element",
            "min_element",
            "unique",
            "remove_if",
            "binary_search",
            "lower_bound",
            "upper_bound",
            "stable_sort",
            "is_sorted",
        ],
    ),
    ("any", &["any", "any_cast"]),
    ("array", &["array"]),
    (
        "atomic",
        &["atomic", "atomic_flag", "__atomic_base", "memory_order"],
    ),
    ("bitset", &["bitset"]),
    ("chrono", &["chrono"]),
    ("complex", &["complex"]),
    ("condition_variable", &["condition_variable"]),
    (
        "cstddef",
        &["nullptr_t", "size_t", "ptrdiff_t", "byte", "max_align_t"],
    ),
    (
        "cstdint",
        &[
            "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t",
            "uint64_t",
        ],
    ),
    ("cstdio", &["printf", "fprintf", "puts", "fflush"]),
    ("cstdlib", &["abs", "malloc", "free", "exit", "getenv"]),
    (
        "cstring",
        &["strlen", "strcmp", "memcpy", "memset", "strstr"],
    ),
    ("deque", &["deque", "_Deque_iterator"]),
    (
        "exception",
        &["exception", "exception_ptr", "current_exception"],
    ),
    (
        "fstream",
        &[
            "basic_ifstream",
            "basic_ofstream",
            "basic_fstream",
            "ifstream",
            "ofstream",
            "fstream",
        ],
    ),
    (
        "functional",
        &[
            "function",
            "less",
            "greater",
            "equal_to",
            "hash",
            "plus",
            "reference_wrapper",
            "bind",
            "ref",
            "cref",
        ],
    ),
    (
        "future",
        &[
            "future",
            "promise",
            "shared_future",
            "async",
            "packaged_task",
        ],
    ),
    ("initializer_list", &["initializer_list"]),
    (
        "iostream",
        &[
            "cout",
            "cerr",
            "cin",
            "endl",
            "flush",
            "basic_ostream",
            "basic_istream",
            "ostream",
            "istream",
            "basic_ios",
            "ios_base",
            "hex",
            "dec",
        ],
    ),
    ("iomanip", &["setw", "setprecision", "setfill"]),
    (
        "iterator",
        &[
            "reverse_iterator",
            "back_inserter",
            "next",
            "prev",
            "advance",
            "distance",
            "begin",
            "end",
        ],
    ),
    ("limits", &["numeric_limits"]),
    ("list", &["list", "_List_iterator", "_List_const_iterator"]),
    (
        "map",
        &[
            "map",
            "multimap",
            "_Rb_tree_iterator",
            "_Rb_tree_const_iterator",
        ],
    ),
    (
        "memory",
        &[
            "shared_ptr",
            "unique_ptr",
            "weak_ptr",
            "make_shared",
            "make_unique",
            "allocator",
            "default_delete",
            "enable_shared_from_this",
            "__shared_ptr",
            "allocator_traits",
        ],
    ),
    (
        "mutex",
        &[
            "mutex",
            "lock_guard",
            "unique_lock",
            "recursive_mutex",
            "once_flag",
            "scoped_lock",
        ],
    ),
    ("numeric", &["accumulate", "iota", "gcd", "lcm"]),
    (
        "optional",
        &["optional", "nullopt", "nullopt_t", "make_optional"],
    ),
    ("queue", &["queue", "priority_queue"]),
    (
        "random",
        &[
            "mt19937",
            "mersenne_twister_engine",
            "uniform_int_distribution",
            "random_device",
        ],
    ),
    ("ratio", &["ratio"]),
    ("set", &["set", "multiset"]),
    ("shared_mutex", &["shared_mutex", "shared_lock"]),
    (
        "sstream",
        &[
            "basic_stringstream",
            "basic_ostringstream",
            "basic_istringstream",
            "stringstream",
            "ostringstream",
            "istringstream",
        ],
    ),
    ("stack", &["stack"]),
    (
        "stdexcept",
        &[
            "runtime_error",
            "logic_error",
            "out_of_range",
            "invalid_argument",
            "domain_error",
            "length_error",
            "range_error",
            "overflow_error",
        ],
    ),
    (
        "string",
        &[
            "basic_string",
            "string",
            "wstring",
            "u16string",
            "u32string",
            "char_traits",
            "to_string",
            "stoi",
            "stol",
            "stod",
            "getline",
        ],
    ),
    ("string_view", &["basic_string_view", "string_view"]),
    (
        "system_error",
        &["error_code", "error_category", "system_error"],
    ),
    ("thread", &["thread", "this_thread"]),
    ("tuple", &["tuple", "make_tuple", "get", "tie"]),
    (
        "type_traits",
        &[
            "integral_constant",
            "is_same",
            "true_type",
            "false_type",
            "enable_if",
        ],
    ),
    ("typeinfo", &["type_info"]),
    ("unordered_map", &["unordered_map", "unordered_multimap"]),
    ("unordered_set", &["unordered_set", "unordered_multiset"]),
    (
        "utility",
        &["pair", "make_pair", "move", "forward", "swap", "exchange"],
    ),
    ("valarray", &["valarray"]),
    (
        "variant",
        &[
            "variant",
            "monostate",
            "visit",
            "get_if",
            "holds_alternative",
        ],
    ),
    (
        "vector",
        &[
            "vector",
            "_Bit_reference",
            "_Bit_iterator",
            "__normal_iterator",
        ],
    ),
];

/// The header to include for a qualified name that begins with `std` or is of the
/// library's own namespaces.
pub(super) fn header_of(name: &str) -> Option<&'static str> {
    let mut parts = name.split("::").map(|part| match part.find('<') {
        Some(at) => &part[..at],
        None => part,
    });
    let is_library = |part: &str| matches!(part, "std" | "__gnu_cxx" | "__cxxabiv1");
    parts.next().filter(|first| is_library(first))?;
    // Namespaces for versions are no one's to write.
    let part = parts.find(|part| !matches!(*part, "__cxx11" | "__1" | "__detail" | "_V2"))?;
    let known = HEADERS.iter().find(|(_, names)| names.contains(&part));
    known.map(|(header, _)| *header)
}

#[cfg(test)]
mod tests {
    use super::header_of;

    #[test]
    fn headers_by_qualified_names() {
        for (name, header) in [
            ("std::string", Some("string")),
            ("std::__cxx11::basic_string<char>", Some("string")),
            ("std::map<std::vector<int>, int>", Some("map")),
            ("std::chrono::seconds", Some("chrono")),
            ("std::nothing", None),
            ("ns::string", None),
        ] {
            assert_eq!(header_of(name), header, "{name}");
        }
    }
}

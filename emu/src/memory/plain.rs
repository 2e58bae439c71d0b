//! [`Plain`]: values that are nothing but bytes, so that they can be copied
//! into and out of guest memory.

use std::slice;

/// A type of which every bit pattern is a value and no byte is padding.
///
/// # Safety
/// The type is `repr(C)` (or a primitive integer, or an array of such), has no
/// padding, no pointer and no value that is not allowed.
pub unsafe trait Plain: Copy {
    /// All bytes zero.
    const ZERO: Self;
}

macro_rules! plain_integers {
    ($($integer:ty)*) => {$(
        // SAFETY: a primitive integer has no padding and allows every pattern.
        unsafe impl Plain for $integer {
            const ZERO: Self = 0;
        }
    )*};
}
plain_integers!(u8 i8 u16 i16 u32 i32 u64 i64);

// SAFETY: an array of a plain type has no padding of its own.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    const ZERO: Self = [T::ZERO; N];
}

/// Declares `repr(C)` structures of the guest's binary interface, makes them
/// [`Plain`], and has the compiler check that their fields leave no padding.
macro_rules! plain_structs {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $visibility:vis $field:ident: $ty:ty,)* })*) => {$(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name { $($(#[$field_meta])* $visibility $field: $ty,)* }

        const _: () = assert!(
            size_of::<$name>() == 0 $(+ size_of::<$ty>())*,
            "a structure of the guest's interface has no padding"
        );

        // SAFETY: repr(C), every field is Plain (used below), and the
        // assertion above shows that there is no padding between them.
        unsafe impl $crate::memory::Plain for $name {
            const ZERO: Self = $name { $($field: <$ty as $crate::memory::Plain>::ZERO,)* };
        }
    )*};
}
pub(crate) use plain_structs;

/// The bytes of a value.
pub fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: `Plain` has no padding, so every byte is initialised.
    unsafe { slice::from_raw_parts((value as *const T).cast(), size_of::<T>()) }
}

/// The bytes of a value, to be written.
pub fn bytes_of_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: as above, and every pattern is a value of `T`.
    unsafe { slice::from_raw_parts_mut((value as *mut T).cast(), size_of::<T>()) }
}

/// The bytes of values that lie one after another, to be written.
pub fn bytes_of_slice_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as above; a slice has no padding between elements.
    unsafe { slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// The bytes of values that lie one after another.
pub fn bytes_of_slice<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: `Plain` has no padding, nor has a slice between elements.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

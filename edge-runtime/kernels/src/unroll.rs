//! Loops that are unrolled in the source.

/// Repeats a block with a constant as the index, so that arrays indexed by it stay in registers.
macro_rules! each {
    ($index:ident in $($value:literal)* => $body:block) => {
        $({
            const $index: usize = $value;
            $body
        })*
    };
}

pub(crate) use each;

//! Declared constraints at run time: what `#[payload]`'s generated checks call, over garde's rules.

use garde::rules::length::{chars::Chars, simple::Simple};
use garde::{Path, Report, Validate};

/// This is a field that may be a payload itself; if it is, it is checked too.
///
/// Method lookup decides: [`CheckNested`] is found first, and only where the field's type is a payload; otherwise
/// [`CheckNothing`] is found one reference further away.
#[derive(Debug)]
pub struct Nested<'a, T: ?Sized>(pub &'a T);

/// Checks a nested payload.
pub trait CheckNested {
    /// Reports what is wrong below `parent`.
    fn check(&self, parent: &mut dyn FnMut() -> Path, report: &mut Report);
}

impl<T: ?Sized + Validate<Context = ()>> CheckNested for Nested<'_, T> {
    fn check(&self, parent: &mut dyn FnMut() -> Path, report: &mut Report) {
        self.0.validate_into(&(), parent, report);
    }
}

/// Leaves alone what is no payload.
pub trait CheckNothing {
    /// Reports nothing.
    fn check(&self, _parent: &mut dyn FnMut() -> Path, _report: &mut Report) {}
}

impl<T: ?Sized> CheckNothing for &Nested<'_, T> {}

/// This is a field whose length is limited: characters for text, as JSON Schema counts, and items for lists.
///
/// Method lookup on `&&Measured` decides: it finds text first, then lists, and then what has no length at all.
#[derive(Debug)]
pub struct Measured<'a, T: ?Sized>(pub &'a T);

/// Measures text.
pub trait MeasureText {
    /// Compares the number of characters.
    fn within(&self, min: usize, max: usize) -> garde::Result;
}

impl<T: Chars> MeasureText for &Measured<'_, T> {
    fn within(&self, min: usize, max: usize) -> garde::Result {
        garde::rules::length::chars::apply(self.0, (min, max))
    }
}

/// Measures lists.
pub trait MeasureItems {
    /// Compares the number of items.
    fn within(&self, min: usize, max: usize) -> garde::Result;
}

impl<T: Simple> MeasureItems for &&Measured<'_, T> {
    fn within(&self, min: usize, max: usize) -> garde::Result {
        garde::rules::length::simple::apply(self.0, (min, max))
    }
}

/// Refuses, while compiling, to measure what has no length.
pub trait MeasureNothing<T> {
    /// Has no answer.
    fn within(&self, _min: usize, _max: usize) -> garde::Result
    where
        T: HasLength,
    {
        Ok(())
    }
}

impl<T> MeasureNothing<T> for Measured<'_, T> {}

/// Nothing implements this: it is there for what the compiler says.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no length",
    label = "limits the length of text or of a list",
    note = "limit a number with `range(min = …, max = …)`"
)]
pub trait HasLength {}

/// Adds a rule's verdict to the report.
pub fn note(verdict: garde::Result, parent: &mut dyn FnMut() -> Path, report: &mut Report) {
    if let Err(error) = verdict {
        report.append(parent(), error);
    }
}

/// garde's path as a JSON Pointer (RFC 6901).
pub(crate) fn pointer(path: &Path) -> String {
    let mut segments: Vec<_> = path
        .__iter()
        .filter(|(_, segment)| !segment.is_empty())
        .map(|(_, segment)| format!("/{}", crate::extract::escape(segment)))
        .collect();
    segments.reverse();
    segments.concat()
}

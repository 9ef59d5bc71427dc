//! What may stand in a field, and how proto3's JSON mapping reads and writes it.
//!
//! A [`Value`] is there; a [`Field`] is a place in a message that may be empty, and an empty one is not written.

use std::{fmt, marker::PhantomData};

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

/// Writes with padding, reads with and without.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// 2^64 as a float: the first integral float that is no u64.
const U64_END: f64 = 18_446_744_073_709_551_616.0;

/// Something that has one JSON form.
pub(super) trait Value: Sized {
    /// Reads it; `null` is an error here, see [`Field`].
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
    /// Writes it.
    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;
}

/// A place in a message.
pub(super) trait Field: Default {
    /// What stands in it when it does.
    type Present: Value;
    /// Takes what was read.
    fn fill(present: Self::Present) -> Self;
    /// Whether nothing has to be written.
    fn is_absent(&self) -> bool;
    /// What is written.
    fn present(&self) -> Option<&Self::Present>;
}

/// Lets serde read a [`Value`].
pub(super) struct In<T>(pub(super) T);

impl<'de, T: Value> Deserialize<'de> for In<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::read(from).map(In)
    }
}

/// Lets serde write a [`Value`].
pub(super) struct Out<'a, T>(pub(super) &'a T);

impl<T: Value> Serialize for Out<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.write(to)
    }
}

/// Visitor methods that refuse every scalar without repeating it: serde's own text would quote a token.
macro_rules! refuse_scalars {
    ($expected:literal) => {
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str($expected)
        }

        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Err(E::custom(concat!("expected ", $expected)))
        }

        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Err(E::custom(concat!("expected ", $expected)))
        }

        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Err(E::custom(concat!("expected ", $expected)))
        }

        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Err(E::custom(concat!("expected ", $expected)))
        }

        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::custom(concat!("expected ", $expected)))
        }
    };
}
pub(super) use refuse_scalars;

/// A value that stands in one JSON token.
trait Scalar: Sized {
    const EXPECTED: &'static str;

    fn from_bool(_: bool) -> Option<Self> {
        None
    }
    fn from_u64(_: u64) -> Option<Self> {
        None
    }
    fn from_f64(_: f64) -> Option<Self> {
        None
    }
    fn from_text(_: &str) -> Option<Self> {
        None
    }
}

struct ScalarVisitor<T>(PhantomData<T>);

fn expected<T: Scalar, E: Error>(read: Option<T>) -> Result<T, E> {
    read.ok_or_else(|| E::custom(format_args!("expected {}", T::EXPECTED)))
}

impl<T: Scalar> Visitor<'_> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        expected(T::from_bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        expected(T::from_u64(value))
    }

    #[allow(clippy::cast_precision_loss, reason = "a negative number is no u64; as a float it may be rounded")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        expected(T::from_f64(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        expected(T::from_f64(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        expected(T::from_text(value))
    }
}

macro_rules! scalar_value {
    ($type:ty, |$value:ident, $to:ident| $write:expr) => {
        impl Value for $type {
            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(ScalarVisitor(PhantomData))
            }

            fn write<S: Serializer>(&self, $to: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                $write
            }
        }

        impl Field for $type {
            type Present = Self;

            fn fill(present: Self) -> Self {
                present
            }

            fn is_absent(&self) -> bool {
                *self == Self::default()
            }

            fn present(&self) -> Option<&Self> {
                Some(self).filter(|value| !value.is_absent())
            }
        }
    };
}

scalar_value!(String, |value, to| to.serialize_str(value));
scalar_value!(bool, |value, to| to.serialize_bool(*value));
scalar_value!(u64, |value, to| to.serialize_u64(*value));
scalar_value!(u32, |value, to| to.serialize_u32(*value));
scalar_value!(Bytes, |value, to| to.serialize_str(&BASE64.encode(value)));
scalar_value!(f64, |value, to| match float_name(*value) {
    Some(name) => to.serialize_str(name),
    None => to.serialize_f64(*value),
});

impl Scalar for String {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Scalar for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl Scalar for u64 {
    const EXPECTED: &'static str = "an unsigned integer, as a number or a decimal string";

    fn from_u64(value: u64) -> Option<Self> {
        Some(value)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the filter leaves what fits")]
    fn from_f64(value: f64) -> Option<Self> {
        // proto3 takes 1.0 and 1e3 for integers.
        Some(value).filter(|value| value.fract() == 0.0 && (0.0..U64_END).contains(value)).map(|value| value as Self)
    }

    fn from_text(text: &str) -> Option<Self> {
        // Rust's parser would take a plus sign.
        Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok())
    }
}

impl Scalar for u32 {
    const EXPECTED: &'static str = "an unsigned integer below 2^32, as a number or a decimal string";

    fn from_u64(value: u64) -> Option<Self> {
        value.try_into().ok()
    }

    fn from_f64(value: f64) -> Option<Self> {
        u64::from_f64(value).and_then(Self::from_u64)
    }

    fn from_text(text: &str) -> Option<Self> {
        u64::from_text(text).and_then(Self::from_u64)
    }
}

impl Scalar for Bytes {
    const EXPECTED: &'static str = "base64";

    fn from_text(text: &str) -> Option<Self> {
        let url_safe = text.bytes().any(|b| matches!(b, b'-' | b'_'));
        let engine = if url_safe { &BASE64_URL } else { &BASE64 };
        engine.decode(text).ok().map(Self::from)
    }
}

impl Scalar for f64 {
    const EXPECTED: &'static str = "a number";

    #[allow(clippy::cast_precision_loss, reason = "JSON has one kind of number; a float takes the nearest")]
    fn from_u64(value: u64) -> Option<Self> {
        Some(value as Self)
    }

    fn from_f64(value: f64) -> Option<Self> {
        Some(value)
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "NaN" => Some(Self::NAN),
            "Infinity" => Some(Self::INFINITY),
            "-Infinity" => Some(Self::NEG_INFINITY),
            _ => text.parse().ok().filter(|value: &Self| value.is_finite()),
        }
    }
}

/// The floats that JSON has no number for.
fn float_name(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        return Some("NaN");
    }
    if value.is_infinite() {
        return Some(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    None
}

/// A field with presence: a message, or a scalar marked `optional`.
impl<T: Value> Field for Option<T> {
    type Present = T;

    fn fill(present: T) -> Self {
        Some(present)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn present(&self) -> Option<&T> {
        self.as_ref()
    }
}

/// A repeated field.
impl<T: Value> Field for Vec<T> {
    type Present = Self;

    fn fill(present: Self) -> Self {
        present
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn present(&self) -> Option<&Self> {
        Some(self).filter(|values| !values.is_empty())
    }
}

impl<T: Value> Value for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ListVisitor(PhantomData))
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Out))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    refuse_scalars!("a list");

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(In(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

/// An enum field: the name in JSON, the number in the generated struct.
pub(super) trait Named: Sized {
    /// The name in the proto file.
    fn name(number: i32) -> Option<&'static str>;
    /// The number of a name.
    fn number(name: &str) -> Option<i32>;
}

/// Stands for an enum field while it is read and written.
#[derive(Debug)]
pub(super) struct Name<E>(i32, PhantomData<E>);

impl<E> Name<E> {
    pub(super) const fn new(number: i32) -> Self {
        Self(number, PhantomData)
    }

    pub(super) const fn number(&self) -> i32 {
        self.0
    }
}

impl<E: Named> Scalar for Name<E> {
    const EXPECTED: &'static str = "the name or number of an enum value";

    fn from_u64(value: u64) -> Option<Self> {
        value.try_into().ok().map(Self::new)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the filter leaves what fits")]
    fn from_f64(value: f64) -> Option<Self> {
        let fits = |value: &f64| value.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(value);
        Some(value).filter(fits).map(|value| Self::new(value as i32))
    }

    /// A name of a later version reads as "unspecified", as an unknown field is no error either.
    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(E::number(text).unwrap_or_default()))
    }
}

impl<E: Named> Value for Name<E> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor(PhantomData))
    }

    fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match E::name(self.0) {
            Some(name) => to.serialize_str(name),
            None => to.serialize_i32(self.0),
        }
    }
}

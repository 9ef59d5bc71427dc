//! A message as a JSON object: `message!` says which field stands under which key, and writes the rest.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};

use super::value::{Field, In, Name, Named, Out, Value, refuse_scalars};
use crate::wire;

struct ObjectVisitor<T>(PhantomData<T>);

/// Puts the key in front of what went wrong below it, so that an error names the path of its field.
fn under<E: Error>(key: &'static str) -> impl Fn(E) -> E {
    move |why| E::custom(format_args!("{key}: {why}"))
}

/// Reads the value of a field; `None` for `null`.
fn read_value<'de, A: MapAccess<'de>, T: Value>(map: &mut A, key: &'static str) -> Result<Option<T>, A::Error> {
    let read = map.next_value::<Option<In<T>>>().map_err(under(key))?;
    Ok(read.map(|read| read.0))
}

/// Reads a field that may stand once.
fn read_once<'de, A: MapAccess<'de>, F: Field>(
    map: &mut A,
    slot: &mut Option<F>,
    key: &'static str,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(A::Error::duplicate_field(key));
    }
    *slot = Some(read_value(map, key)?.map_or_else(F::default, F::fill));
    Ok(())
}

/// Takes one of several keys of which one may be set.
fn choose<T, E: Error>(slot: &mut Option<T>, value: T, key: &'static str) -> Result<(), E> {
    if slot.replace(value).is_some() {
        return Err(E::custom(format_args!("{key}: another kind is set already")));
    }
    Ok(())
}

fn write_field<M: SerializeMap, F: Field>(map: &mut M, key: &'static str, field: &F) -> Result<(), M::Error> {
    field.present().map_or(Ok(()), |value| map.serialize_entry(key, &Out(value)))
}

/// `message!(Type { field "key", .. } oneof field: module::Enum { Variant "key", .. } enumerated field "key": Type, ..)`.
/// A variant that holds an enum stands behind the others: `or Variant "key": Type`.
macro_rules! message {
    (
        $type:ident { $($field:ident $key:literal),* $(,)? }
        $(oneof $one:ident: $module:ident :: $enum:ident {
            $($variant:ident $label:literal $(| $also:literal)?),* $(,)?
        } $(or $chosen:ident $choice:literal: $choices:ident)?)?
        $(enumerated $($number:ident $name:literal $(| $alias:literal)?: $names:ident),*)?
    ) => {
        const _: () = {
            /// A key of the object.
            #[allow(non_camel_case_types, reason = "a key is called as its field")]
            enum Key {
                $($field,)*
                $($($variant,)* $($chosen,)?)?
                $($($number,)*)?
                /// Of a later version.
                Unknown,
            }

            struct KeyVisitor;

            impl Visitor<'_> for KeyVisitor {
                type Value = Key;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a key")
                }

                fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
                    // The name as it stands in the proto file is read too.
                    Ok(match key {
                        $($key => Key::$field,)*
                        $($($label $(| $also)? => Key::$variant,)* $($choice => Key::$chosen,)?)?
                        $($($name $(| $alias)? => Key::$number,)*)?
                        $(_ if key == stringify!($field) => Key::$field,)*
                        _ => Key::Unknown,
                    })
                }
            }

            impl<'de> Deserialize<'de> for Key {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    from.deserialize_identifier(KeyVisitor)
                }
            }

            impl<'de> Visitor<'de> for ObjectVisitor<wire::$type> {
                type Value = wire::$type;

                refuse_scalars!("an object");

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<wire::$type, A::Error> {
                    $(let mut $field = None;)*
                    $(let mut $one: Option<wire::$module::$enum> = None;)?
                    $($(let mut $number: Option<Option<Name<wire::$names>>> = None;)*)?
                    while let Some(key) = map.next_key::<Key>()? {
                        match key {
                            $(Key::$field => read_once(&mut map, &mut $field, $key)?,)*
                            $($(Key::$variant => {
                                if let Some(value) = read_value(&mut map, $label)? {
                                    choose(&mut $one, wire::$module::$enum::$variant(value), $label)?;
                                }
                            })*
                            $(Key::$chosen => {
                                if let Some(name) = read_value::<_, Name<wire::$choices>>(&mut map, $choice)? {
                                    choose(&mut $one, wire::$module::$enum::$chosen(name.number()), $choice)?;
                                }
                            })?)?
                            $($(Key::$number => read_once(&mut map, &mut $number, $name)?,)*)?
                            Key::Unknown => {
                                map.next_value::<IgnoredAny>()?;
                            }
                        }
                    }
                    Ok(wire::$type {
                        $($field: $field.unwrap_or_default(),)*
                        $($one,)?
                        $($($number: $number.flatten().map_or(0, |name| name.number()),)*)?
                    })
                }
            }

            impl Value for wire::$type {
                fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    from.deserialize_any(ObjectVisitor::<wire::$type>(PhantomData))
                }

                fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    #[allow(unused_mut, reason = "a message without fields writes nothing")]
                    let mut map = to.serialize_map(None)?;
                    $(write_field(&mut map, $key, &self.$field)?;)*
                    $(match &self.$one {
                        None => {}
                        $(Some(wire::$module::$enum::$variant(value)) => map.serialize_entry($label, &Out(value))?,)*
                        $(Some(wire::$module::$enum::$chosen(number)) => {
                            map.serialize_entry($choice, &Out(&Name::<wire::$choices>::new(*number)))?;
                        })?
                    })?
                    $($(
                        let name = Some(Name::<wire::$names>::new(self.$number)).filter(|name| name.number() != 0);
                        write_field(&mut map, $name, &name)?;
                    )*)?
                    map.end()
                }
            }
        };
    };
}

/// An enum whose names are those of the proto file.
macro_rules! named {
    ($type:ident) => {
        impl Named for wire::$type {
            fn name(number: i32) -> Option<&'static str> {
                Self::try_from(number).ok().map(|value| value.as_str_name())
            }

            fn number(name: &str) -> Option<i32> {
                Self::from_str_name(name).map(|value| value as i32)
            }
        }
    };
}

mod groups;
mod messages;

//! The attributes of an operator: only known ones, each once, of the right type.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::{require, shown};

/// The most numbers in a list attribute.
const MAX_NUMBERS: usize = 12;

/// The attributes of an operator.
pub struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    /// Returns the attributes of `node` if all of them are among `known`.
    pub fn new(node: &'a NodeProto, known: &[&str]) -> Result<Attributes<'a>, String> {
        let all = &node.attribute;
        require(all.len() <= known.len(), || format!("{} attributes", all.len()))?;
        for (index, attribute) in all.iter().enumerate() {
            let is_known = known.contains(&attribute.name.as_str());
            let twice = all[..index].iter().any(|other| other.name == attribute.name);
            require(is_known && !twice, || format!("attribute `{}`, unknown or twice", shown(&attribute.name)))?;
            require(attribute.ref_attr_name.is_empty() && attribute.ints.len() <= MAX_NUMBERS, || {
                format!("attribute `{}`: a reference or a long list", shown(&attribute.name))
            })?;
        }
        Ok(Attributes(all))
    }

    fn get(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>, String> {
        let found = self.0.iter().find(|attribute| attribute.name == name);
        let right = found.is_none_or(|attribute| attribute.r#type == kind as i32);
        require(right, || format!("attribute `{name}` is not of type {}", kind.as_str_name()))?;
        Ok(found)
    }

    /// Returns an integer attribute, or `default` if it is absent.
    pub fn integer(&self, name: &str, default: i64) -> Result<i64, String> {
        Ok(self.get(name, AttributeType::Int)?.map_or(default, |attribute| attribute.i))
    }

    /// Returns a list of integers, or `None` if it is absent.
    pub fn integers(&self, name: &str) -> Result<Option<&'a [i64]>, String> {
        Ok(self.get(name, AttributeType::Ints)?.map(|attribute| &attribute.ints[..]))
    }

    /// Checks that a text attribute is absent or equal to `only`.
    pub fn text(&self, name: &str, only: &str) -> Result<(), String> {
        let found = self.get(name, AttributeType::String)?;
        require(found.is_none_or(|attribute| attribute.s == only.as_bytes()), || {
            format!("attribute `{name}` is not {only}")
        })
    }

    /// Rebuilds the attributes from what was checked.
    pub fn rebuilt(&self) -> Vec<AttributeProto> {
        let anew = |attribute: &AttributeProto| AttributeProto {
            name: attribute.name.clone(),
            r#type: attribute.r#type,
            i: attribute.i,
            ints: attribute.ints.clone(),
            s: attribute.s.clone(),
            ..AttributeProto::default()
        };
        self.0.iter().map(anew).collect()
    }
}

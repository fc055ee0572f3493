//! The modules of a crate and the dependencies between them, from its source text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree, Visibility};

/// How many re-exports a path may lead through.
const MAX_REEXPORTS: u32 = 16;

/// A library or program.
pub struct Crate {
    /// Its name for people.
    pub name: String,
    /// Its modules. The first is the root; each comes after its parent.
    pub modules: Vec<Module>,
}

/// A module.
#[derive(Default)]
pub struct Module {
    /// Its path from `crate` on.
    pub path: Vec<String>,
    /// The index of its parent; the root has none.
    pub parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// Items that are defined in it.
    items: BTreeSet<String>,
    uses: Vec<Use>,
    /// Paths of more than one segment in its code.
    paths: BTreeSet<Vec<String>>,
}

/// One name of a `use` declaration.
struct Use {
    path: Vec<String>,
    /// The name that it gets here; none for `*`.
    name: Option<String>,
    is_public: bool,
}

/// A module's code names another module.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    pub from: usize,
    pub to: usize,
    /// The path that leads there, as it is written.
    pub path: String,
}

impl Crate {
    /// Reads the crate whose root is the file `root`.
    pub fn parse(name: String, root: &Path) -> Crate {
        let mut parsed = Crate { name, modules: vec![Module { path: vec!["crate".into()], ..Module::default() }] };
        parsed.parse_file(0, root, root.parent().unwrap());
        parsed
    }

    /// Reads the file of a module, whose children's files are in `folder`.
    fn parse_file(&mut self, module: usize, file: &Path, folder: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if !is_for_tests(&parsed.attrs) {
            self.parse_items(module, parsed.items, folder, file.parent().unwrap());
        }
    }

    /// Reads a module's items. Files of its children are in `folder`; paths in attributes begin at `beside`.
    fn parse_items(&mut self, module: usize, items: Vec<Item>, folder: &Path, beside: &Path) {
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(item) => {
                    let name = item.ident.to_string();
                    let child = self.modules.len();
                    let path = [self.modules[module].path.as_slice(), std::slice::from_ref(&name)].concat();
                    self.modules.push(Module { path, parent: Some(module), ..Module::default() });
                    self.modules[module].children.insert(name.clone(), child);
                    match item.content {
                        Some((_, items)) => {
                            let inside = folder.join(&name);
                            self.parse_items(child, items, &inside, &inside);
                        }
                        None => {
                            let (file, folder) = module_file(folder, beside, &name, &item.attrs);
                            self.parse_file(child, &file, &folder);
                        }
                    }
                }
                Item::Use(item) => {
                    if item.leading_colon.is_none() {
                        let is_public = !matches!(item.vis, Visibility::Inherited);
                        flatten(&item.tree, &mut Vec::new(), is_public, &mut self.modules[module].uses);
                    }
                }
                item => {
                    self.modules[module].items.extend(item_name(&item));
                    collect_paths(item.to_token_stream(), &mut self.modules[module].paths);
                }
            }
        }
    }

    /// Returns the dependencies between modules, each pair once.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let mut found: Vec<Dependency> = Vec::new();
        for (from, module) in self.modules.iter().enumerate() {
            for path in module.uses.iter().map(|it| &it.path).chain(&module.paths) {
                let Some(to) = self.resolve(from, path, MAX_REEXPORTS) else { continue };
                if to != from && !found.iter().any(|it| (it.from, it.to) == (from, to)) {
                    found.push(Dependency { from, to, path: path.join("::") });
                }
            }
        }
        found
    }

    /// Returns the module that a path in `module` leads to: the one that defines the item, or a module itself. Paths into other
    /// crates, and names that are not paths to modules, lead nowhere.
    fn resolve(&self, module: usize, path: &[String], reexports: u32) -> Option<usize> {
        let reexports = reexports.checked_sub(1)?;
        let mut at = module;
        let mut rest = path;
        let mut is_relative = true;
        while let Some((first, behind)) = rest.split_first() {
            match first.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.modules[at].parent?,
                _ => break,
            }
            is_relative = false;
            rest = behind;
        }
        while let Some((name, behind)) = rest.split_first() {
            let here = &self.modules[at];
            if let Some(child) = here.children.get(name) {
                (at, rest, is_relative) = (*child, behind, false);
                continue;
            }
            // The first segment of `use name` in this module is not the name that it declares.
            let declares_itself = |it: &Use| it.path.first() == Some(name) && it.path.len() == 1;
            let named = here.uses.iter().find(|it| it.name.as_ref() == Some(name) && !declares_itself(it));
            if let Some(named) = named {
                let mut target = named.path.clone();
                target.extend_from_slice(behind);
                return self.resolve(at, &target, reexports);
            }
            if here.items.contains(name) {
                return Some(at);
            }
            let globs = here.uses.iter().filter(|it| it.name.is_none());
            let through =
                globs.filter_map(|it| self.resolve(at, &it.path, reexports)).find(|glob| self.has(*glob, name));
            if let Some(glob) = through {
                return self.resolve(glob, &[&["self".to_owned()], rest].concat(), reexports);
            }
            // An item that a macro has made, or, for a relative path, something of another crate.
            return (!is_relative).then_some(at);
        }
        Some(at)
    }

    fn has(&self, module: usize, name: &String) -> bool {
        let module = &self.modules[module];
        module.items.contains(name)
            || module.children.contains_key(name)
            || module.uses.iter().any(|it| it.is_public && it.name.as_ref() == Some(name))
    }
}

/// Returns the file of a module and the folder of its children's files.
fn module_file(folder: &Path, beside: &Path, name: &str, attributes: &[Attribute]) -> (PathBuf, PathBuf) {
    let explicit = attributes.iter().find(|attribute| attribute.path().is_ident("path")).map(|attribute| {
        let value = attribute.meta.require_name_value().unwrap().value.to_token_stream().to_string();
        beside.join(value.trim_matches('"'))
    });
    match explicit {
        Some(file) => {
            let folder = file.parent().unwrap().to_path_buf();
            (file, folder)
        }
        None => {
            let below = folder.join(name);
            let [beside, inside] = [folder.join(format!("{name}.rs")), below.join("mod.rs")];
            (if beside.exists() { beside } else { inside }, below)
        }
    }
}

/// Returns whether attributes exclude code from everything but tests.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
        attribute.path().is_ident("cfg") && (condition == "test" || condition.replace(' ', "").starts_with("all(test,"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

fn item_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Macro(it) => it.ident.as_ref()?,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        Item::Union(it) => &it.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Adds each name of a `use` declaration.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>, is_public: bool, uses: &mut Vec<Use>) {
    let mut add = |path: Vec<String>, name: Option<String>| uses.push(Use { path, name, is_public });
    match tree {
        UseTree::Path(tree) => {
            prefix.push(tree.ident.to_string());
            flatten(&tree.tree, prefix, is_public, uses);
            prefix.pop();
        }
        UseTree::Group(tree) => tree.items.iter().for_each(|tree| flatten(tree, prefix, is_public, uses)),
        UseTree::Glob(_) => add(prefix.clone(), None),
        UseTree::Name(tree) if tree.ident == "self" => add(prefix.clone(), prefix.last().cloned()),
        UseTree::Name(tree) => {
            let name = tree.ident.to_string();
            add([prefix.as_slice(), std::slice::from_ref(&name)].concat(), Some(name));
        }
        UseTree::Rename(tree) => {
            let name = tree.ident.to_string();
            let path = if name == "self" { prefix.clone() } else { [prefix.as_slice(), &[name]].concat() };
            add(path, Some(tree.rename.to_string()));
        }
    }
}

/// Adds each path of more than one segment, inside macros too.
fn collect_paths(tokens: TokenStream, paths: &mut BTreeSet<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                let closes_a_pair = colons == 1;
                if colons == 0 && punct.spacing() == Spacing::Joint || closes_a_pair {
                    colons += 1;
                    continue;
                }
            }
            TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                path.push(ident.to_string());
                colons = 0;
                continue;
            }
            _ => {}
        }
        finish(&mut path, paths);
        // An identifier behind `::` without a path before it belongs to another crate or to a type.
        if let TokenTree::Ident(ident) = &token
            && colons == 0
        {
            path.push(ident.to_string());
        }
        colons = 0;
        if let TokenTree::Group(group) = token {
            collect_paths(group.stream(), paths);
        }
    }
    finish(&mut path, paths);
}

fn finish(path: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) {
    let path = std::mem::take(path);
    if path.len() > 1 {
        paths.insert(path);
    }
}

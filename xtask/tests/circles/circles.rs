//! Circles among the modules of a crate.

use std::collections::BTreeSet;

use crate::modules::{Crate, Dependency};

/// Returns a description of each circle: its nodes, and a dependency for each of its edges.
pub fn find(parsed: &Crate) -> Vec<String> {
    let dependencies = parsed.dependencies();
    let mut found = Vec::new();
    for level in 0..parsed.modules.len() {
        found.extend(find_at(parsed, level, &dependencies));
    }
    found
}

/// Finds the circles among the children of `level`.
fn find_at(parsed: &Crate, level: usize, dependencies: &[Dependency]) -> Vec<String> {
    // A node is a child with everything below it.
    let node = |module: usize| {
        let mut at = module;
        while parsed.modules[at].parent? != level {
            at = parsed.modules[at].parent?;
        }
        Some(at)
    };
    let edges: Vec<(usize, usize, &Dependency)> = dependencies
        .iter()
        .filter_map(|it| Some((node(it.from)?, node(it.to)?, it)))
        .filter(|(from, to, _)| from != to)
        .collect();
    let nodes: BTreeSet<usize> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
    let reaches = |from: usize| {
        let mut reached = BTreeSet::new();
        let mut next = vec![from];
        while let Some(at) = next.pop() {
            next.extend(edges.iter().filter(|edge| edge.0 == at && reached.insert(edge.1)).map(|edge| edge.1));
        }
        reached
    };
    let mut circles: BTreeSet<Vec<usize>> = BTreeSet::new();
    for start in &nodes {
        let forth = reaches(*start);
        if forth.contains(start) {
            circles.insert(forth.into_iter().filter(|other| reaches(*other).contains(start)).collect());
        }
    }
    circles.into_iter().map(|circle| describe(parsed, &circle, &edges)).collect()
}

fn describe(parsed: &Crate, circle: &[usize], edges: &[(usize, usize, &Dependency)]) -> String {
    let path = |module: usize| parsed.modules[module].path.join("::");
    let names: Vec<String> = circle.iter().map(|node| path(*node)).collect();
    let mut text = format!("{}: {}", parsed.name, names.join(" <-> "));
    let mut shown = BTreeSet::new();
    for (from, to, dependency) in edges {
        if circle.contains(from) && circle.contains(to) && shown.insert((from, to)) {
            text += &format!("\n    {} uses {} ({})", path(dependency.from), path(dependency.to), dependency.path);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Returns the first line of each circle in a crate of these files.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = find(&Crate::parse("it".into(), &folder.path().join("lib.rs")));
        found.into_iter().map(|text| text.lines().next().unwrap().to_owned()).collect()
    }

    #[test]
    fn siblings_that_use_each_other_are_a_circle() {
        let root = ("lib.rs", "mod a; mod b; mod c;");
        let b = ("b.rs", "pub struct B; use super::c::C;");
        assert_eq!(circles(&[root, ("a.rs", "use crate::b::B;"), b, ("c.rs", "pub struct C;")]), [""; 0]);
        let c = ("c.rs", "pub struct C; pub fn f() -> Option<()> { Some(crate::a::f()) }");
        let all = [root, ("a.rs", "use crate::b::B; pub fn f() {}"), b, c];
        assert_eq!(circles(&all), ["it: crate::a <-> crate::b <-> crate::c"]);
    }

    #[test]
    fn paths_in_macros_and_imported_modules_are_seen() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use super::b; pub const X: u8 = 1; fn f() { b::f() }"),
            ("b.rs", "pub fn f() { println!(\"{}\", crate::a::X) }"),
        ];
        assert_eq!(circles(&files), ["it: crate::a <-> crate::b"]);
    }

    #[test]
    fn a_parent_and_its_child_may_use_each_other() {
        let parent = ("lib.rs", "mod a; mod b; pub struct X; fn f() { a::g() }");
        let child = ("a.rs", "pub fn g() -> super::X { crate::b::h(); super::X }");
        assert_eq!(circles(&[parent, child, ("b.rs", "pub fn h() { crate::f() }")]), [""; 0]);
    }

    #[test]
    fn siblings_are_compared_at_every_level_with_what_is_below_them() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a.rs", "mod b; mod c;"),
            ("a/b.rs", "mod d;"),
            ("a/b/d.rs", "pub fn f() { super::super::c::g() }"),
            ("a/c.rs", "pub fn g() { super::b::d::f() }"),
        ];
        assert_eq!(circles(&files), ["it: crate::a::b <-> crate::a::c"]);
    }

    #[test]
    fn a_path_through_a_re_export_leads_to_where_the_item_is_defined() {
        let root = ("lib.rs", "mod a; mod b;");
        // Both look at the parent's face, and one of them at the other behind it.
        let parent = ("a/mod.rs", "mod c; mod d; pub use c::C; pub use d::*;");
        let d = ("a/d.rs", "use super::C; pub struct D;");
        let b = ("b.rs", "use crate::a::{C, D};");
        assert_eq!(circles(&[root, parent, ("a/c.rs", "pub struct C;"), d, b]), [""; 0]);
        let c = ("a/c.rs", "pub struct C(super::D);");
        assert_eq!(circles(&[root, parent, c, d, b]), ["it: crate::a::c <-> crate::a::d"]);
    }

    #[test]
    fn code_for_tests_does_not_count() {
        let files = [
            ("lib.rs", "mod a { pub fn f() { crate::b::g() } } mod b;"),
            ("b.rs", "pub fn g() {} #[cfg(test)] mod tests { use crate::a::f; } #[cfg(test)] use crate::a::f;"),
        ];
        assert_eq!(circles(&files), [""; 0]);
    }

    #[test]
    fn other_crates_and_local_names_are_no_modules() {
        let files = [
            ("lib.rs", "mod fs; mod b;"),
            ("fs.rs", "use std::fs; fn f() { fs::read(\"x\"); ::b::f(); T::b() } use serde::b::X;"),
            ("b.rs", "use crate::fs::f;"),
        ];
        assert_eq!(circles(&files), [""; 0]);
    }
}

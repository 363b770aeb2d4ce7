// SPDX-License-Identifier: MIT OR Apache-2.0
//! The text of a container's config, made key by key, with comments. What is written into it may come from anywhere (an
//! image, a command line): strings are escaped by the writer of TOML, and comments stay comments.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Key, Table, Value};

use crate::error::Error;
use crate::output::safe;

/// A config in the making.
#[derive(Debug, Default)]
pub struct ContainerToml {
    document: DocumentMut,
    remarks: Vec<String>,
}

impl ContainerToml {
    /// An empty config; `about` are the lines of the comment at its top.
    pub fn new(about: &[String]) -> Self {
        let mut document = DocumentMut::new();
        document.decor_mut().set_prefix(comment(about));
        Self { document, remarks: Vec::new() }
    }

    /// Sets the key at `path`, making the tables above it.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) -> Result<(), Error> {
        self.set_value(path, value.into())
    }

    /// Sets the key at `path` to a list of strings.
    pub fn set_list<S: AsRef<str>>(&mut self, path: &[&str], list: &[S]) -> Result<(), Error> {
        let array: Array = list.iter().map(AsRef::as_ref).collect();
        self.set_value(path, Value::Array(array))
    }

    /// Adds a `[[name]]` with these keys.
    pub fn push_table(&mut self, name: &str, keys: Vec<(&'static str, Value)>) {
        let mut table = Table::new();
        table.decor_mut().set_prefix("\n");
        keys.into_iter().for_each(|(key, value)| drop(table.insert(key, Item::Value(value))));
        let entry = self.document.entry(name).or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        if let Some(list) = entry.as_array_of_tables_mut() {
            list.push(table);
        }
    }

    /// Sets what `KEY=VALUE` says: the key as TOML has it (`process.env.LANG`); the value a string, unless TOML has it as
    /// a whole number, true or false, a list, a table, or a string in quotes.
    pub fn assign(&mut self, assignment: &str) -> Result<(), Error> {
        let malformed = || Error::Usage(format!("{assignment:?} is not KEY=VALUE"));
        let (key, value) = assignment.split_once('=').ok_or_else(malformed)?;
        let keys = Key::parse(key.trim()).map_err(|_error| {
            Error::Usage(format!("{key:?} is not a key of TOML, as in resources.memory_max"))
        })?;
        let path: Vec<&str> = keys.iter().map(Key::get).collect();
        self.set_value(&path, parse_value(value))
    }

    /// Says something at the end, as a comment.
    pub fn remark(&mut self, line: impl Into<String>) {
        self.remarks.push(line.into());
    }

    /// The text.
    pub fn render(mut self) -> String {
        if !self.remarks.is_empty() {
            self.document.set_trailing(format!("\n{}", comment(&self.remarks)));
        }
        self.document.to_string()
    }

    fn set_value(&mut self, path: &[&str], value: Value) -> Result<(), Error> {
        let Some((last, tables)) = path.split_last() else { return Ok(()) };
        let mut table = self.document.as_table_mut();
        for (depth, name) in tables.iter().enumerate() {
            let entry = table.entry(name).or_insert_with(|| new_table(depth));
            let known = entry.as_table_mut();
            let reason = || Error::Usage(format!("{name:?} is set to a value and cannot have keys, too"));
            table = known.ok_or_else(reason)?;
        }
        // Assigning through the index would keep what was written around an older value.
        table.insert(last, Item::Value(value));
        Ok(())
    }
}

/// A section of the file; the tables in sections (`process.env`) have headers as well.
fn new_table(depth: usize) -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    if depth == 0 {
        table.decor_mut().set_prefix("\n");
    }
    Item::Table(table)
}

/// A value as TOML has it; everything that is none, and what no key of a config can be (floats, dates), is a string.
pub(crate) fn parse_value(text: &str) -> Value {
    match text.trim().parse::<Value>() {
        Ok(Value::Float(_) | Value::Datetime(_)) | Err(_) => Value::from(text),
        Ok(mut value) => {
            value.decor_mut().clear();
            value
        }
    }
}

/// Lines of a comment: nothing in them can end it.
fn comment(lines: &[String]) -> String {
    lines.iter().map(|line| format!("# {}\n", safe(line)).replace("# \n", "#\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_follow_the_keys_of_the_top() {
        let mut toml = ContainerToml::new(&["A container.".to_owned(), String::new()]);
        toml.set(&["root", "path"], "/srv/web").unwrap();
        toml.set_list(&["process", "command"], &["sh", "-c", "echo \"a\nb\""]).unwrap();
        toml.set(&["process", "env", "a.b"], "1").unwrap();
        toml.set(&["runtime"], "runc").unwrap();
        toml.set(&["process", "cwd"], "/srv").unwrap();
        toml.remark("not carried over:\n[root]");
        let want = "# A container.\n#\nruntime = \"runc\"\n\n[root]\npath = \"/srv/web\"\n\n[process]\n\
                    command = [\"sh\", \"-c\", \"\"\"\necho \"a\nb\"\"\"\"]\ncwd = \"/srv\"\n\n[process.env]\n\
                    \"a.b\" = \"1\"\n\n# not carried over:\\n[root]\n";
        assert_eq!(toml.render(), want);
    }

    #[test]
    fn assignments_are_what_toml_takes_them_for() {
        let mut toml = ContainerToml::default();
        for assignment in [
            "resources.memory_max=512M",
            "resources.tasks_max = 5",
            "resources.cpu_weight=1.5",
            "autostart.enabled=true",
            "process.env.\"A B\"=\"7\"",
            "process.command=[\"sh\", '-c']",
            "mount=[{ target = \"/t\", type = \"tmpfs\" }]",
            "description=two = words",
            "hostname=",
        ] {
            toml.assign(assignment).unwrap();
        }
        let want = "mount = [{ target = \"/t\", type = \"tmpfs\" }]\ndescription = \"two = words\"\nhostname = \"\"\n\n\
                    [resources]\nmemory_max = \"512M\"\ntasks_max = 5\ncpu_weight = \"1.5\"\n\n[autostart]\nenabled = true\n\n\
                    [process]\ncommand = [\"sh\", '-c']\n\n[process.env]\n\"A B\" = \"7\"\n";
        assert_eq!(toml.render(), want);
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        let refused = |assignment: &str| {
            let mut toml = ContainerToml::default();
            toml.set(&["runtime"], "crun").unwrap();
            toml.assign(assignment).unwrap_err().to_string()
        };
        assert_eq!(refused("memory"), "\"memory\" is not KEY=VALUE");
        assert_eq!(refused("=1"), "\"\" is not a key of TOML, as in resources.memory_max");
        assert_eq!(refused("a b=1"), "\"a b\" is not a key of TOML, as in resources.memory_max");
        assert_eq!(refused("runtime.x=1"), "\"runtime\" is set to a value and cannot have keys, too");
    }

    #[test]
    fn nothing_breaks_out() {
        let evil = "\"\n[process]\ncommand = [\"x\"]\u{1b}]0;x\u{7}\u{0}";
        let mut toml = ContainerToml::new(&[evil.to_owned()]);
        toml.set(&["description"], evil).unwrap();
        toml.set_list(&["process", "command"], &[evil]).unwrap();
        toml.remark(evil);
        let text = toml.render();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let read: DocumentMut = text.parse().unwrap();
        assert_eq!(read["description"].as_str(), Some(evil));
        assert_eq!(read["process"]["command"][0].as_str(), Some(evil));
        assert_eq!(read.as_table().len(), 2);
    }
}

//! Parquet files, written one group of rows at a time.

use std::io::{self, Write};
use std::sync::Arc;

use expression_engine::Error;
use expression_engine::error::Result;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::columns::{Column, Kind, Value, WithSession};
use super::sink::Sink;

/// Rows per group; a group is held in memory until it is written.
const ROWS_PER_GROUP: usize = 32_768;

/// Collects rows by column and writes them a group at a time.
pub struct Parquet<'a, R: 'static> {
    columns: &'static [Column<R>],
    held: Vec<Held>,
    rows: usize,
    writer: SerializedFileWriter<&'a mut (dyn Write + Send)>,
}

/// The values of a column that are not null, and for each row whether it is one of them.
struct Held {
    present: Vec<i16>,
    values: Values,
}

enum Values {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<ByteArray>),
}

/// Returns the I/O error within an error of Parquet, so that its kind decides the exit code.
pub fn from_parquet(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => (*error).into(),
            Err(other) => Error::failure(other),
        },
        other => Error::failure(other),
    }
}

impl<'a, R> Parquet<'a, R> {
    /// Begins a file.
    ///
    /// # Errors
    /// Returns an error if `out` cannot be written to.
    pub fn new(columns: &'static [Column<R>], out: &'a mut (dyn Write + Send)) -> Result<Parquet<'a, R>, ParquetError> {
        let fields = columns.iter().map(|column| field(column.name, column.kind).map(Arc::new));
        let fields: Vec<_> = fields.collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("journal").with_fields(fields).build()?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties))?;
        let held = columns.iter().map(|column| Held::new(column.kind)).collect();
        Ok(Parquet { columns, held, rows: 0, writer })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for held in &mut self.held {
            let Some(mut column) = group.next_column()? else { break };
            held.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn field(name: &str, kind: Kind) -> parquet::errors::Result<Type> {
    let (physical, logical) = match kind {
        Kind::Int => (Physical::INT64, None),
        Kind::Float => (Physical::DOUBLE, None),
        Kind::Bool => (Physical::BOOLEAN, None),
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
    };
    let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    field.with_logical_type(logical).build()
}

impl Held {
    fn new(kind: Kind) -> Held {
        let values = match kind {
            Kind::Int | Kind::Time => Values::Int(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Bool => Values::Bool(Vec::new()),
            Kind::Text => Values::Text(Vec::new()),
        };
        Held { present: Vec::new(), values }
    }

    fn push(&mut self, value: Value<'_>) {
        let present = match (&mut self.values, value) {
            (Values::Int(values), Value::Int(value) | Value::Time(value)) => push(values, value),
            (Values::Float(values), Value::Float(value)) => push(values, value),
            (Values::Bool(values), Value::Bool(value)) => push(values, value),
            (Values::Text(values), Value::Text(value)) => push(values, value.as_bytes().to_vec().into()),
            _ => 0,
        };
        self.present.push(present);
    }

    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> parquet::errors::Result<()> {
        let present = Some(self.present.as_slice());
        match &mut self.values {
            Values::Int(values) => column.typed::<Int64Type>().write_batch(values, present, None)?,
            Values::Float(values) => column.typed::<DoubleType>().write_batch(values, present, None)?,
            Values::Bool(values) => column.typed::<BoolType>().write_batch(values, present, None)?,
            Values::Text(values) => column.typed::<ByteArrayType>().write_batch(values, present, None)?,
        };
        self.present.clear();
        match &mut self.values {
            Values::Int(values) => values.clear(),
            Values::Float(values) => values.clear(),
            Values::Bool(values) => values.clear(),
            Values::Text(values) => values.clear(),
        }
        Ok(())
    }
}

fn push<T>(values: &mut Vec<T>, value: T) -> i16 {
    values.push(value);
    1
}

impl<R> Sink<R> for Parquet<'_, R> {
    fn put(&mut self, row: WithSession<'_, R>) -> Result<()> {
        for (column, held) in self.columns.iter().zip(&mut self.held) {
            held.push((column.value)(row));
        }
        self.rows += 1;
        if self.rows == ROWS_PER_GROUP {
            self.write_group().map_err(from_parquet)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_group().and_then(|()| self.writer.close()).map_err(from_parquet)?;
        Ok(())
    }
}

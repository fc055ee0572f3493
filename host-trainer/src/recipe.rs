//! The final training: a recipe that a finished run has proved, once more on the training and the test part together. The new model has
//! seen the test part, so the figures on it stay those of the run.

use std::collections::BTreeMap;
use std::path::Path;

use crate::adoption::Adoption;
use crate::config::Config;
use crate::dataset::DataSet;
use crate::error::{Context, Error};
use crate::outcome::{MetricsFile, Summary};
use crate::run;

/// The figures that are the recipe's in the manifest of a final model.
const FIGURES: [&str; 4] = ["int8_accuracy", "int8_accuracy_majority", "int8_macro_recall", "test_samples"];

/// A finished run whose recipe is trained once more.
#[derive(Debug, Clone)]
pub struct Recipe(Summary);

impl Recipe {
    /// Reads the run in `folder`.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the run is not finished, or if its configuration is not `config`.
    pub fn read(folder: &Path, config: &Config) -> crate::Result<Recipe> {
        let path = folder.join(run::METRICS);
        let unfinished = |error: &dyn std::fmt::Display| {
            Error::BadInput(format!("{}: {error}; give the folder of a finished run", path.display()))
        };
        let bytes = std::fs::read(&path).map_err(|error| unfinished(&error))?;
        let file: MetricsFile = serde_json::from_slice(&bytes).map_err(|error| unfinished(&error))?;
        let mut proved = Config::parse(&file.run.config).with_context(|| path.display().to_string())?;
        // Arithmetic and rendered faces belong to a run, not to its recipe.
        proved.run = config.run.clone();
        if proved != *config {
            let advice = "give its preset, and repeat its other flags";
            return Err(Error::BadInput(format!("{}: the run has other hyper-parameters; {advice}", folder.display())));
        }
        Ok(Recipe(file.run))
    }

    /// Returns the data set of the final training: the test part is trained on, and the calibration part reported on.
    ///
    /// # Errors
    /// Returns [`Error::BadInput`] if the run had another data set.
    pub fn joined(&self, mut data: DataSet) -> crate::Result<DataSet> {
        if data.name != self.0.data {
            let (has, had) = (&data.name, &self.0.data);
            return Err(Error::BadInput(format!("--final: the run {} was on {had}, not on {has}", self.0.name)));
        }
        data.train.append(&mut data.test);
        data.test.clone_from(&data.calibration);
        data.name += ", training and test part together";
        Ok(data)
    }

    /// Returns the figures for the model card: `own` is the closing table of the final model.
    pub fn table(&self, own: &str) -> String {
        format!(
            "\nThis model has seen the test part. Its own figures are of the held-out samples that calibrated it:\n{own}\n\
             The recipe's figures are those of the run {}, which never saw the test part:\n{}",
            self.0.name,
            self.0.table()
        )
    }

    /// Returns what the manifest says of where the figures come from.
    pub fn provenance(&self) -> String {
        let Summary { name, int8, .. } = &self.0;
        format!(
            "the figures recipe_* are of the run {name} on {} test samples, which this model has been trained on; the others are of \
             held-out samples",
            int8.samples
        )
    }

    /// Returns the recipe's figures by name.
    pub fn figures(&self) -> BTreeMap<String, f64> {
        let all = self.0.figures();
        FIGURES.iter().filter_map(|name| Some((format!("recipe_{name}"), *all.get(*name)?))).collect()
    }

    /// Returns the evidence of a final model that was adapted: on one's own pictures it is that of the run, since the final model has
    /// seen the test part and was chosen by the other pictures.
    pub fn evidence(&self, last: Adoption) -> Adoption {
        match &self.0.adoption {
            Some(Adoption { own: (name, comparison), .. }) => {
                Adoption { own: (format!("{name}, by the run {}", self.0.name), *comparison), ..last }
            }
            None => last,
        }
    }

    /// Returns the name of the run.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

#[cfg(test)]
mod tests {
    use expression_engine::files;

    use super::*;
    use crate::dataset::{self, Request, Source};
    use crate::evaluate::Comparison;

    #[test]
    fn the_test_part_is_trained_on_and_its_figures_stay_the_run_s() {
        let config = Config::preset("smoke").unwrap();
        let request = Request { rendered: 32, limit: None, calibration: 6, seed: 1 };
        let data = dataset::load(&Source::Rendered(None), request).unwrap();
        let summary = Summary {
            data: data.name.clone(),
            config: toml::to_string(&config).unwrap(),
            ..crate::report::html::tests::summary()
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |run: &Summary| {
            let file = MetricsFile { figures: run.figures(), run: run.clone() };
            files::write_bytes(&folder.path().join(run::METRICS), &serde_json::to_vec(&file).unwrap()).unwrap();
        };
        assert!(
            Recipe::read(folder.path(), &config).unwrap_err().to_string().contains("give the folder of a finished run")
        );
        write(&summary);
        let recipe = Recipe::read(folder.path(), &config).unwrap();

        let joined = recipe.joined(data.clone()).unwrap();
        let names = |samples: &[crate::dataset::Sample]| samples.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&joined.train), [names(&data.train), names(&data.test)].concat());
        assert_eq!(names(&joined.test), names(&data.calibration));
        assert!(joined.name.ends_with("training and test part together"));
        let card = recipe.table("\nown figures\n");
        let [own, run] = ["own figures", "a run on 56 test samples"].map(|text| card.find(text).unwrap());
        assert!(own < run);
        // A number that was read from JSON may differ in its last bit.
        assert!((recipe.figures()["recipe_int8_accuracy"] - summary.int8.accuracy).abs() < 1e-12);
        assert_eq!(recipe.figures().len(), FIGURES.len());
        assert!(recipe.provenance().contains("run a run on 56 test samples"));

        let evidence = |gained| {
            let part = |name: &str| (name.to_owned(), Comparison { samples: 9, both: 3, gained, lost: 0 });
            Adoption { from: "abc".into(), own: part("room"), old: part("rendered") }
        };
        assert_eq!(recipe.evidence(evidence(1)), evidence(1), "the run was not adapted");
        let adapted = Recipe(Summary { adoption: Some(evidence(4)), ..summary.clone() });
        let Adoption { own, old, .. } = adapted.evidence(evidence(1));
        assert_eq!((own.0.as_str(), own.1.gained), (format!("room, by the run {}", summary.name).as_str(), 4));
        assert_eq!((old.0.as_str(), old.1.gained), ("rendered", 1));

        let mut other = config.clone();
        other.stage_two.rate *= 2.0;
        assert!(Recipe::read(folder.path(), &other).unwrap_err().to_string().contains("other hyper-parameters"));
        write(&Summary { data: "another".into(), ..summary });
        let error = Recipe::read(folder.path(), &config).unwrap().joined(data).unwrap_err();
        assert!(error.to_string().contains("was on another"), "{error}");
    }
}

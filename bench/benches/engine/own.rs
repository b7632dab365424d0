//! What the program does to read paths, inside this process.

use std::path::Path;
use std::sync::Arc;

use sheaf_bench::store::{self, Failure, Opened};
use sheaf_engine::{Base, read_columns, resolve};
use sheaf_model::ResourcePath;
use sheaf_store::{ROLLUPS_FILE, RollupSettings, Rollups};

/// An open store with its rollups.
pub(crate) struct Own {
    pub(crate) opened: Opened,
    pub(crate) rollups: Arc<Rollups>,
}

impl Own {
    pub(crate) async fn open(folder: &Path) -> Result<Own, Failure> {
        let rollups = Arc::new(Rollups::new(folder.join(ROLLUPS_FILE), RollupSettings::default()));
        Ok(Own { opened: store::open(folder).await?, rollups })
    }

    /// All values of paths, path after path.
    pub(crate) async fn read(&self, paths: &[String], with_rollups: bool) -> Result<Vec<f64>, Failure> {
        let parsed = paths.iter().map(|path| path.parse()).collect::<Result<Vec<ResourcePath>, _>>()?;
        let mut all = Vec::new();
        for mut item in resolve(&self.opened.store, &parsed).await? {
            let Base::Stored { series, rollups, .. } = &mut item.base else {
                return Err(format!("{} is not in the store", item.path).into());
            };
            *rollups = Some(self.rollups.clone()).filter(|_| with_rollups);
            let snapshot = self.opened.store.snapshot(&[*series]).await?;
            let range = snapshot.range(*series)?.ok_or_else(|| format!("{} has no samples", item.path))?;
            let range = item.path.period().widen(range)?;
            for block in read_columns(&snapshot, &[item], range, None).await? {
                block?.iter().for_each(|column| all.extend_from_slice(column));
            }
        }
        Ok(all)
    }
}

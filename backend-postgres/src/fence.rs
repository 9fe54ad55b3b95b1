//! The write fence: stops writers that cannot be seen.

use backend_api::Result;
use sqlx::Connection as _;

use crate::backend::Postgres;
use crate::write::{Failed, Position};

impl Postgres {
    /// Raises the fence: from now on nobody writes, also who opens the store later, until it is lowered. A group that is under
    /// way is committed before this returns, or not at all. Stores that are open now stay shut out until they are opened
    /// again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn fence(&self) -> Result<()> {
        self.set_fence("UPDATE store SET turn = turn + 1, epoch = epoch + 1, writable = false WHERE turn = $1").await
    }

    /// Lowers the fence. Who opens the store from now on may write.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lower_fence(&self) -> Result<()> {
        self.set_fence("UPDATE store SET turn = turn + 1, writable = true WHERE turn = $1").await
    }

    async fn set_fence(&self, sql: &'static str) -> Result<()> {
        // A fence that is raised twice stands as one that was raised once.
        let attempt = || async {
            let mut connection = self.shared.connect_to_lock().await?;
            let set = async {
                let mut transaction = connection.begin().await?;
                let store = Position::lock(&mut transaction).await?;
                sqlx::query(sql).bind(store.turn).execute(&mut *transaction).await?;
                transaction.commit().await.map_err(Failed::from)
            };
            self.shared.in_time(3, set).await?
        };
        self.shared.again("set the write fence", attempt).await
    }
}

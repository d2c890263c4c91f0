#ifndef SHOAL_CSQLITE_SHIM_H
#define SHOAL_CSQLITE_SHIM_H

#include <sqlite3.h>

// SQLITE_TRANSIENT and SQLITE_STATIC are casts, which Swift does not import.
static inline sqlite3_destructor_type shoal_sqlite_transient(void) { return SQLITE_TRANSIENT; }
static inline sqlite3_destructor_type shoal_sqlite_static(void) { return SQLITE_STATIC; }

// Counting allocations costs a lock each and nobody reads the counts; names may be URIs, which say how a file is opened.
// Takes effect before SQLite's first use only.
static inline int shoal_sqlite_configure(void) {
    int code = sqlite3_config(SQLITE_CONFIG_URI, 1);
    return code == SQLITE_OK ? sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) : code;
}

// Closing this connection leaves the write-ahead log as it is.
static inline void shoal_sqlite_keep_log(sqlite3 *db) {
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

#endif

#ifndef SHOAL_CSQLITE_SHIM_H
#define SHOAL_CSQLITE_SHIM_H

#include <sqlite3.h>

// SQLITE_TRANSIENT and SQLITE_STATIC are casts, which Swift does not import.
static inline sqlite3_destructor_type shoal_sqlite_transient(void) { return SQLITE_TRANSIENT; }
static inline sqlite3_destructor_type shoal_sqlite_static(void) { return SQLITE_STATIC; }

// Counting allocations costs a lock each and nobody reads the counts. Takes effect before SQLite's first use only.
static inline int shoal_sqlite_configure(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

#endif

/// The tables of the audit.
enum AuditSchema {
    static let migration = "9 audit"

    static let statements = [
        // Who changed what. A row holds the entries that one author made in one transaction, numbered densely over all rows:
        // `number` is its first entry's. `hash` chains it to the row before; the last one's is in `server`.
        """
        CREATE TABLE audit (
            number INTEGER PRIMARY KEY, count INTEGER NOT NULL, time INTEGER NOT NULL, account INTEGER NOT NULL,
            replica INTEGER NOT NULL, action TEXT NOT NULL, sections BLOB NOT NULL, hash BLOB NOT NULL
        )
        """,
        // Which entries are about a record. Derived from the rows.
        """
        CREATE TABLE audit_record (record INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (record, number))
        WITHOUT ROWID
        """,
        "ALTER TABLE server ADD COLUMN audit_number INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE server ADD COLUMN audit_hash BLOB NOT NULL DEFAULT x''",
    ]
}

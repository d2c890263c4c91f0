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

    static let linksMigration = "10 audit links"

    /// From here on an entry about a record links to the one before: `audit_record` lists those of before alone.
    static let links = [
        // Of a row: by which links name it, ascending with gaps, and of which the salts of its sections are made. Without a salt
        // it is as the first versions wrote it; with an empty one, something of it was erased.
        "ALTER TABLE audit ADD COLUMN mark INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE audit ADD COLUMN salt BLOB",
        "CREATE INDEX audit_mark ON audit (mark)",
        // Of a record: the mark of the last row that mentions it, or 0.
        "ALTER TABLE record ADD COLUMN audit INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE detail ADD COLUMN audit INTEGER NOT NULL DEFAULT 0",
        // The same of what has no row, or had none; passed over where the record's row has a mark.
        "CREATE TABLE audit_head (record INTEGER PRIMARY KEY, mark INTEGER NOT NULL)",
        keepingHead("record"),
        keepingHead("detail"),
    ]

    private static func keepingHead(_ table: String) -> String {
        """
        CREATE TRIGGER \(table)_audit AFTER DELETE ON \(table) WHEN OLD.audit > 0 BEGIN
            INSERT OR REPLACE INTO audit_head (record, mark) VALUES (OLD.id, OLD.audit);
        END
        """
    }

    /// The mark of the last row that mentions the record `?1`.
    static let selectHead = """
        SELECT audit FROM record WHERE id = ?1 AND audit > 0
        UNION ALL SELECT audit FROM detail WHERE id = ?1 AND audit > 0
        UNION ALL SELECT mark FROM audit_head WHERE record = ?1 LIMIT 1
        """

    /// Of those that `audit_record` lists of the record `?1`, the newest before the entry `?2`.
    static let selectListed = "SELECT max(number) FROM audit_record WHERE record = ?1 AND number < ?2"
}

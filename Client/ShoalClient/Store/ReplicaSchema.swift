import GRDB
import ShoalStore

/// The client's tables. Migrations are frozen once shipped; a change is a new migration.
enum ReplicaSchema {
    struct Migration {
        var name: String
        var sql: String
    }

    static let migrations = [
        Migration(name: "1 replica", sql: first), Migration(name: "2 lineage", sql: lineage),
        Migration(name: "4 quarantine", sql: quarantine),
        Migration(name: "5 relay", sql: relay),
        Migration(name: "6 earlier places", sql: earlierPlaces),
        Migration(name: "7 texts", sql: texts),
        Migration(name: "8 visibility", sql: visibility),
        Migration(name: "8 lock and lease", sql: lockAndLease),
        Migration(name: "8 settled", sql: settled),
        Migration(name: "8 trust", sql: trust),
        Migration(name: "9 erasure", sql: erasure),
        Migration(name: "10 renamed", sql: renamed),
        Migration(name: "11 tag merges", sql: tagMerges),
        Migration(name: "12 lockout losses", sql: lockoutLosses),
        Migration(name: "13 log checks", sql: logChecks),
    ]

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        for migration in migrations {
            migrator.registerMigration(migration.name) { try $0.execute(sql: migration.sql) }
        }
        return migrator
    }

    static let shape = SchemaShape(hash: 16_921_395_697_112_330_191) { migrator }

    private static let first = """
        \(RecordTable.schema);

        -- Who this replica is. One row; account, name and role are null until the server has answered.
        CREATE TABLE identity (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            server TEXT NOT NULL,
            code TEXT NOT NULL,
            key TEXT NOT NULL,
            account INTEGER,
            name TEXT,
            role TEXT
        );

        -- Where this replica stands with the server. One row. fill: 0 none, 1 into an empty replica, 2 replacing.
        CREATE TABLE standing (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            epoch INTEGER NOT NULL,
            cursor TEXT NOT NULL,
            acknowledgement TEXT NOT NULL,
            clock_offset INTEGER NOT NULL,
            last_sync INTEGER,
            fill INTEGER NOT NULL
        );

        -- Every log that this replica ever wrote; the last one is the one that it writes now. The operation with number
        -- n of a log has the position base + n. hash is that of the last acknowledged operation.
        CREATE TABLE own_log (
            ordinal INTEGER PRIMARY KEY,
            replica INTEGER NOT NULL,
            base INTEGER NOT NULL,
            acknowledged INTEGER NOT NULL,
            hash INTEGER NOT NULL,
            finish INTEGER
        );

        -- This replica's operations, immutable; allocator is the state of the identifier allocator after it.
        CREATE TABLE log (
            position INTEGER PRIMARY KEY,
            ordinal INTEGER NOT NULL,
            hash INTEGER NOT NULL,
            allocator INTEGER NOT NULL,
            operation BLOB NOT NULL
        );

        -- Operations that still overlay the server's record.
        CREATE TABLE tail (
            record INTEGER NOT NULL,
            position INTEGER NOT NULL,
            PRIMARY KEY (record, position)
        ) WITHOUT ROWID;

        -- Operations that the server refused.
        CREATE TABLE aside (
            position INTEGER PRIMARY KEY,
            reason TEXT NOT NULL
        );

        -- How far the server had each log at the cursor.
        CREATE TABLE vector (
            replica INTEGER PRIMARY KEY,
            number INTEGER NOT NULL
        );

        -- What a replacing fill has named so far.
        CREATE TABLE fill_seen (record INTEGER PRIMARY KEY);

        -- Derived from record and tail.
        CREATE TABLE customer (
            id INTEGER PRIMARY KEY,
            added INTEGER NOT NULL,
            name TEXT NOT NULL,
            stage TEXT NOT NULL,
            source TEXT NOT NULL,
            birth_month TEXT NOT NULL
        );
        CREATE TABLE customer_tag (
            tag INTEGER NOT NULL,
            customer INTEGER NOT NULL,
            PRIMARY KEY (tag, customer)
        ) WITHOUT ROWID;
        CREATE TABLE follow (
            account INTEGER NOT NULL,
            customer INTEGER NOT NULL,
            PRIMARY KEY (account, customer)
        ) WITHOUT ROWID;
        CREATE TABLE note (
            customer INTEGER NOT NULL,
            id INTEGER NOT NULL,
            PRIMARY KEY (customer, id)
        ) WITHOUT ROWID;
        CREATE TABLE tag_group (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            folded TEXT NOT NULL,
            single INTEGER NOT NULL,
            archived INTEGER NOT NULL
        );
        CREATE TABLE tag (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            folded TEXT NOT NULL,
            tag_group INTEGER NOT NULL,
            archived INTEGER NOT NULL
        );
        CREATE TABLE account (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            role TEXT NOT NULL
        );
        CREATE TABLE author (
            replica INTEGER PRIMARY KEY,
            account INTEGER NOT NULL
        );
        -- element: the number of an identifier, text, or 0 where the cell has none.
        CREATE TABLE conflict (
            record INTEGER NOT NULL,
            field INTEGER NOT NULL,
            element BLOB NOT NULL,
            PRIMARY KEY (record, field, element)
        ) WITHOUT ROWID;

        -- The conflicts that were listed last, so that settling can tell whether they changed.
        CREATE TABLE listed (
            record INTEGER NOT NULL,
            field TEXT NOT NULL,
            token INTEGER NOT NULL,
            PRIMARY KEY (record, field)
        ) WITHOUT ROWID;

        -- The text index: what waits for it, and which document stands for which record. A changed record gets a new
        -- document; postings of documents that are not in the table are dead.
        CREATE TABLE text_queue (record INTEGER PRIMARY KEY);
        CREATE TABLE text_document (
            document INTEGER PRIMARY KEY,
            record INTEGER NOT NULL UNIQUE
        );
        CREATE TABLE text_number (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            value INTEGER NOT NULL
        );
        CREATE VIRTUAL TABLE text_index USING fts5(grams, content = '', detail = none, columnsize = 0, tokenize = 'ascii');
        """

    private static let quarantine = """
        -- What could not be read, as it was. source: record or log; key: the identifier or the position.
        CREATE TABLE quarantine (
            id INTEGER PRIMARY KEY,
            source TEXT NOT NULL,
            key INTEGER NOT NULL,
            bytes BLOB NOT NULL,
            reason TEXT NOT NULL
        );
        """

    private static let lineage = """
        -- start: the position before the first operation of this row. sent: the last number ever sent.
        -- proven: the last one that an earlier epoch acknowledged, until a fill has replaced its rows. own: whether it is
        -- pushed from here; otherwise the server knows these operations in the log of another copy.
        ALTER TABLE own_log ADD COLUMN start INTEGER NOT NULL DEFAULT 0;
        UPDATE own_log SET start = base;
        ALTER TABLE own_log ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE own_log ADD COLUMN proven INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE own_log ADD COLUMN own INTEGER NOT NULL DEFAULT 1;

        -- state: 1 the hash is not over the bytes any more, 2 refused.
        ALTER TABLE log DROP COLUMN ordinal;
        ALTER TABLE log ADD COLUMN state INTEGER NOT NULL DEFAULT 0;

        -- What was done so that the logs continue the server's again, for people. kind: fork, rollback, renamed.
        CREATE TABLE healing (
            id INTEGER PRIMARY KEY,
            time INTEGER NOT NULL,
            kind TEXT NOT NULL,
            replica INTEGER NOT NULL,
            changes INTEGER NOT NULL
        );
        """

    private static let earlierPlaces = """
        -- vouched: the last number that any earlier epoch of the server acknowledged. claimed: the last that one may have
        -- taken.
        ALTER TABLE own_log ADD COLUMN vouched INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE own_log ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0;

        -- Operations after a position that stood elsewhere in an earlier epoch, and the place of the first of them there.
        CREATE TABLE former_place (
            id INTEGER PRIMARY KEY,
            position INTEGER NOT NULL,
            count INTEGER NOT NULL,
            replica INTEGER NOT NULL,
            number INTEGER NOT NULL,
            proven INTEGER NOT NULL
        );

        -- The operations up to this position were written over rows of an earlier epoch.
        ALTER TABLE standing ADD COLUMN earlier_end INTEGER NOT NULL DEFAULT 0;

        -- Whether the server has been told all of this in its epoch.
        ALTER TABLE standing ADD COLUMN told INTEGER NOT NULL DEFAULT 1;
        """

    private static let relay = """
        -- What the server's rows were each time that it was found to have lost something.
        CREATE TABLE stock (
            generation INTEGER NOT NULL,
            record INTEGER NOT NULL,
            cells BLOB NOT NULL,
            is_too_large INTEGER NOT NULL DEFAULT 0
        );
        CREATE UNIQUE INDEX stock_place ON stock (generation, record);

        -- Of which operations those rows are the fold.
        CREATE TABLE stock_vector (
            generation INTEGER NOT NULL,
            replica INTEGER NOT NULL,
            number INTEGER NOT NULL,
            PRIMARY KEY (generation, replica)
        ) WITHOUT ROWID;

        -- Records in which the server waits for operations.
        CREATE TABLE stock_open (record INTEGER PRIMARY KEY);

        -- An enrolment of an enrolled home that was sent and not answered yet. At most one row.
        CREATE TABLE reenrolment (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            server TEXT NOT NULL,
            code TEXT NOT NULL,
            key TEXT NOT NULL
        );
        """

    private static let visibility = """
        -- What belongs to which scope: of every row in detail.
        CREATE TABLE member (scope INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (scope, record)) WITHOUT ROWID;
        INSERT OR IGNORE INTO underived (id) SELECT 1 WHERE EXISTS (SELECT 1 FROM detail);

        -- Scopes that left the account's view while there was unsent work about them.
        CREATE TABLE leaving (scope INTEGER PRIMARY KEY);
        """

    private static let lockAndLease = """
        -- Why this home takes no commands any more; no row while it does. stage: 0 what was not sent is still here, 1 it is
        -- being emptied, 2 it is empty.
        CREATE TABLE locked (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            reason TEXT NOT NULL,
            time INTEGER NOT NULL,
            account TEXT NOT NULL,
            server TEXT NOT NULL,
            stage INTEGER NOT NULL
        );

        -- lease: days, null while no server has named any. contact: when the server answered last, by its clock. seen: the
        -- latest time seen since.
        ALTER TABLE standing ADD COLUMN lease INTEGER;
        ALTER TABLE standing ADD COLUMN contact INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE standing ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
        """

    private static let settled = """
        -- What somebody has decided on of what is set aside: cells of the operation, element as in conflict; of field 0 the making
        -- of the record, or as element deleted its deletion.
        CREATE TABLE aside_settled (
            position INTEGER NOT NULL,
            field INTEGER NOT NULL,
            element BLOB NOT NULL,
            PRIMARY KEY (position, field, element)
        ) WITHOUT ROWID;
        """

    private static let erasure = """
        -- Persons of whom everything was erased. proof: the server's word for it; unsent: how many own operations about them
        -- no server had taken; scrubbed: whether nothing of it is left in the files.
        CREATE TABLE erased (
            person INTEGER PRIMARY KEY,
            proof TEXT NOT NULL,
            time INTEGER NOT NULL,
            unsent INTEGER NOT NULL,
            scrubbed INTEGER NOT NULL
        );
        """

    private static let renamed = """
        -- The identifiers with which records of this log were written that have another one now.
        CREATE TABLE renamed (record INTEGER PRIMARY KEY, original INTEGER NOT NULL);
        """

    private static let lockoutLosses = """
        -- How many changes were not taken from a home that was emptied, and how many of it the server had refused.
        ALTER TABLE locked ADD COLUMN untaken INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE locked ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
        """

    private static let logChecks = """
        -- What tells whose log it is, 24 bits; 0 where the server did not say.
        ALTER TABLE vector ADD COLUMN log_check INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE stock_vector ADD COLUMN log_check INTEGER NOT NULL DEFAULT 0;
        """

    private static let tagMerges = """
        -- The tags that tags were merged into: derived from their records.
        CREATE TABLE tag_merge (tag INTEGER NOT NULL, into_tag INTEGER NOT NULL, PRIMARY KEY (tag, into_tag)) WITHOUT ROWID;
        INSERT OR IGNORE INTO underived (id) SELECT 1 WHERE EXISTS (SELECT 1 FROM tag);
        """

    private static let texts = """
        -- Has a row while the derived tables are those of a program that could not read all that the records say.
        CREATE TABLE underived (id INTEGER PRIMARY KEY CHECK (id = 1));
        INSERT INTO underived (id) SELECT 1 WHERE EXISTS (SELECT 1 FROM record) OR EXISTS (SELECT 1 FROM tail);
        """

    private static let trust = """
        -- What servers are trusted by, beyond what the system does. plaintext: whether requests may travel readable;
        -- authorities: certificates in PEM. A home that was enrolled over http:// before goes on as it did.
        CREATE TABLE trust (
            server TEXT PRIMARY KEY,
            plaintext INTEGER NOT NULL,
            authorities TEXT NOT NULL
        );
        INSERT INTO trust (server, plaintext, authorities) SELECT server, 1, '' FROM identity WHERE server LIKE 'http://%';
        """
}

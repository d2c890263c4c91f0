import GRDB
import ShoalCRDT
import ShoalStore

import class ShoalStore.Statement

/// The text index and the queue before it.
///
/// The index keeps no texts and cannot forget a document: a changed record gets a new document number, and the old
/// postings die with the mapping. When most are dead the index is emptied and everything queued.
final class TextIndexStore {
    private let selectQueue: Statement
    private let deleteQueue: Statement
    private let countQueue: Statement
    private let unmap: Statement
    private let map: Statement
    private let insert: Statement
    private let match: Statement
    private let lastDocument: Statement
    private let database: Database

    init(_ database: Database) throws {
        self.database = database
        func make(_ sql: String) throws -> Statement { try Statement(database, sql) }
        selectQueue = try make("SELECT record FROM text_queue LIMIT ?1")
        deleteQueue = try make("DELETE FROM text_queue WHERE record = ?1")
        countQueue = try make("SELECT count(*) FROM text_queue")
        unmap = try make("DELETE FROM text_document WHERE record = ?1")
        map = try make("INSERT INTO text_document (document, record) VALUES (?1, ?2)")
        insert = try make("INSERT INTO text_index (rowid, grams) VALUES (?1, ?2)")
        match = try make(
            """
            SELECT d.record FROM text_index i JOIN text_document d ON d.document = i.rowid
            WHERE i.text_index MATCH ?1
            """)
        // A dead document's number must not come back while its postings live: numbers go up until a rebuild.
        lastDocument = try make("SELECT value FROM text_number WHERE id = 1")
    }

    var queueCount: Int {
        get throws {
            defer { countQueue.reset() }
            return try countQueue.step() ? Int(countQueue.integer(0)) : 0
        }
    }

    /// The records that wait.
    func queue(limit: Int) throws -> [RecordID] {
        try selectQueue.bind(1, Int64(limit))
        defer { selectQueue.reset() }
        var records: [RecordID] = []
        while try selectQueue.step() { records.append(RecordID(rawValue: selectQueue.integer(0))) }
        return records
    }

    /// The document number given last. One that a damaged file forgot is not given again.
    func lastNumber() throws -> Int64 {
        defer { lastDocument.reset() }
        let noted = try lastDocument.step() ? lastDocument.integer(0) : 0
        return max(noted, try highestNumber)
    }

    /// Whether numbers were given beyond the one that is noted as the last: the index and what it is about do not fit.
    func isBehind() throws -> Bool {
        defer { lastDocument.reset() }
        return try lastDocument.step() ? lastDocument.integer(0) < highestNumber : try highestNumber > 0
    }

    private var highestNumber: Int64 {
        get throws {
            try Int64.fetchOne(database.cachedStatement(sql: "SELECT max(document) FROM text_document")) ?? 0
        }
    }

    /// Indexes up to `limit` waiting records.
    ///
    /// - Parameter text: the folded text of a record; nil when it has none any more.
    func drain(limit: Int, text: (RecordID) throws -> [UInt32]?) throws {
        let records = try queue(limit: limit)
        if records.isEmpty { return }
        var number = try lastNumber()
        for record in records {
            try unmap.bind(1, record.rawValue)
            try unmap.run()
            if let text = try text(record), !text.isEmpty {
                number += 1
                try insert.bind(1, number)
                try Grams.document(text).withUnsafeBytes { try insert.bindText(2, $0) }
                try insert.run()
                try map.bind(1, number)
                try map.bind(2, record.rawValue)
                try map.run()
            }
            try deleteQueue.bind(1, record.rawValue)
            try deleteQueue.run()
        }
        try database.execute(sql: "REPLACE INTO text_number (id, value) VALUES (1, ?)", arguments: [number])
        try rebuildIfMostlyDead(last: number)
    }

    private func rebuildIfMostlyDead(last: Int64) throws {
        let live = try Int64.fetchOne(database, sql: "SELECT count(*) FROM text_document") ?? 0
        if last - live > live * 2 + 20_000 { try rebuild() }
    }

    /// Empties the index and queues everything.
    func rebuild() throws {
        try database.execute(
            sql: """
                INSERT INTO text_index (text_index) VALUES ('delete-all');
                DELETE FROM text_document;
                DELETE FROM text_number;
                INSERT OR IGNORE INTO text_queue (record) SELECT id FROM customer;
                INSERT OR IGNORE INTO text_queue (record) SELECT id FROM note;
                """)
    }

    /// The records whose indexed text has all words of a query in the index's language.
    func candidates(_ query: String) throws -> [RecordID] {
        try match.bind(1, query)
        defer { match.reset() }
        var records: [RecordID] = []
        while try match.step() { records.append(RecordID(rawValue: match.integer(0))) }
        return records
    }
}

import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

import struct ShoalCRDT.Record

/// What an account has to do with the customer that it writes about.
enum Standing: CaseIterable {
    /// It made the customer, and is its only follower.
    case own
    /// Another made it and added it as a follower.
    case shared
    /// It followed the customer, was removed, and has heard of that.
    case former
    /// It never saw it, and knows the identifier all the same.
    case unseen
}

/// Who may write a field, written down apart from the schema (SPEC.md §7).
enum FieldRow {
    /// The server's own.
    case server
    /// Everybody's who follows the customer, and supervisors'.
    case followers
    /// A cell an account: that account's, as long as it follows, and supervisors'.
    case relation
    /// Who follows: added by followers, removed by the account itself, both by supervisors.
    case following
    /// The tag book: made by everybody, changed by whom the setting says.
    case book
    /// Its maker's, while it is made; supervisors'.
    case made

    /// The kind and name of each field; a field of the schema that is not here fails the test.
    static let all: [(FieldRow, Kind, String)] =
        [
            (.server, .account, "name role replica"), (.server, .setting, "key value"),
            (
                .followers, .customer,
                "name gender type phone birth_year birth_month skin occupation unionid external_userid avatar wangwang source "
                    + "stage x tag"
            ),
            (
                .relation, .customer,
                "remark_group remark_source remark_wangwang remark_recipient remark_unparsed description remark_mobiles "
                    + "add_way state createtime"
            ),
            (.following, .customer, "follow"), (.book, .tagGroup, "name folded single archived"),
            (.book, .tag, "name folded group archived merged_into"), (.followers, .note, "body"),
            (.made, .export, "form customers person"),
        ].flatMap { row, kind, names in names.split(separator: " ").map { (row, kind, String($0)) } }

    static func of(_ field: FieldSchema) -> FieldRow? {
        all.first { $0.1 == field.kind && $0.2 == field.name }?.0
    }
}

/// Writes every field as every role on every kind of record, and reads back through other accounts what came of it.
final class FieldMatrix {
    private struct Place: Hashable {
        var role: Role
        var standing: Standing
    }

    let server: TestServer
    private let chief: TestReplica
    /// Owns what others only share; follows everything but what is `own`.
    private let other: TestReplica
    /// Sees nothing of any customer.
    private let stranger: TestReplica
    private var writers: [Role: TestReplica] = [:]
    private var customers: [Place: RecordID] = [:]
    private var notes: [Place: RecordID] = [:]
    private(set) var cells = 0
    private(set) var leaks: [String] = []

    init() throws {
        server = try TestServer(isInMemory: true)
        chief = try server.replica("chief")
        other = try server.replica("other", role: .expert)
        stranger = try server.replica("stranger", role: .sales)
        for role in Role.allCases {
            let writer = try server.replica(role.rawValue, role: role)
            writers[role] = writer
            for standing in Standing.allCases {
                let place = Place(role: role, standing: standing)
                let maker = standing == .own ? writer : other
                let (id, note) = (maker.newID(), maker.newID())
                customers[place] = id
                notes[place] = note
                try maker.push(
                    Operations {
                        $0.begin(
                            record: id, time: 1, creates: Envelope(kind: .customer, scope: .customer(id)), salt: 1)
                        $0.edit(CellKey(.follow, id: maker.account), .present)
                        $0.begin(
                            record: note, time: 1, creates: Envelope(kind: .note, scope: .customer(id)), salt: 2)
                        $0.edit(CellKey(.body), text: "备注")
                    })
                if standing == .shared || standing == .former { try follow(writer, id, .present) }
                try writer.sync()
                if standing == .former { try follow(writer, id, .absent) }
                try writer.sync()
            }
        }
    }

    private func follow(_ writer: TestReplica, _ id: RecordID, _ value: ValueKind) throws {
        try chief.pullAll()
        let seen = chief.rows[id].map { $0.liveDots(in: $0.range(of: CellKey(.follow, id: writer.account))) } ?? []
        let answer = try chief.push(
            Operations {
                $0.begin(record: id, time: 1, salt: 3)
                $0.edit(CellKey(.follow, id: writer.account), value, supersedes: seen)
            })
        #expect(answer.verdicts.isEmpty)
    }

    /// Every cell of one role.
    func run(_ role: Role) throws {
        let writer = try #require(writers[role])
        for field in Schema.fields {
            let row = try #require(FieldRow.of(field), "\(field.name) of \(field.kind) has no row in the matrix")
            switch row {
            case .server: try runServer(field, writer)
            case .book: try runBook(field, role, writer)
            case .made: try runMade(field, role, writer)
            case .followers, .relation, .following:
                for standing in Standing.allCases { try runCustomer(field, row, role, standing, writer) }
            }
        }
    }

    // MARK: Fields of a customer and its notes

    private func runCustomer(
        _ field: FieldSchema, _ row: FieldRow, _ role: Role, _ standing: Standing, _ writer: TestReplica
    ) throws {
        let place = Place(role: role, standing: standing)
        let id = try #require(field.kind == .note ? notes[place] : customers[place])
        /// What whoever may not see the customer is told.
        let outside: RefusalReason? =
            role == .supervisor ? nil : standing == .former ? .forbidden : standing == .unseen ? .unknownRecord : nil
        /// And of what is another account's.
        let foreign: RefusalReason? = role == .supervisor ? nil : outside ?? .forbidden
        let what = "\(field.name) as \(role) of \(standing)"
        switch row {
        case .relation:
            try expect(outside, "own \(what)", id, writer) { self.edit(field, writer.account, &$0) }
            try expect(foreign, "other's \(what)", id, writer) { self.edit(field, self.other.account, &$0) }
        case .following:
            try expect(outside, "adding other by \(what)", id, writer) { self.edit(field, self.other.account, &$0) }
            try expect(foreign, "removing other by \(what)", id, writer) {
                $0.edit(CellKey(.follow, id: self.other.account), .absent)
            }
            try expect(foreign, "writing over other by \(what)", id, writer) {
                $0.edit(CellKey(.follow, id: self.other.account), text: "x")
            }
            if outside != nil {
                try expect(outside, "coming back by \(what)", id, writer) { self.edit(field, writer.account, &$0) }
            }
        case .followers, .server, .book, .made:
            try expect(outside, what, id, writer) { self.edit(field, writer.account, &$0) }
        }
    }

    // MARK: Records of the server

    private func runServer(_ field: FieldSchema, _ writer: TestReplica) throws {
        let targets =
            field.kind == .setting ? [Setting.tagEditors.id] : [writer.account, other.account, chief.account]
        try server.accounts.set("tag-editors", to: "everyone")
        for id in targets {
            try expect(.forbidden, "\(field.name) of \(field.kind)", id, writer) {
                self.edit(field, writer.account, &$0)
            }
        }
    }

    // MARK: The tag book

    private func runBook(_ field: FieldSchema, _ role: Role, _ writer: TestReplica) throws {
        for (setting, roles) in [
            ("everyone", [Role.expert, .sales, .supervisor]), ("experts", [.expert, .supervisor]),
            ("supervisors", [.supervisor]),
        ] {
            try server.accounts.set("tag-editors", to: setting)
            let what = "\(field.name) of \(field.kind) as \(role) while \(setting)"
            let verdict: RefusalReason? = roles.contains(role) ? nil : .forbidden
            let creation = Envelope(kind: field.kind, scope: .workspace)
            for maker in [writer, other] {
                let id = maker.newID()
                try expect(nil, "making \(what)", id, maker, creates: creation) { self.edit(field, id, &$0) }
                try expect(verdict, what, id, writer) { self.edit(field, id, &$0) }
                try expect(verdict, "a later field beside \(what)", id, writer) {
                    $0.edit(CellKey(Field(rawValue: 60_000)), text: "x")
                }
                try chief.pullAll()
                let seen = chief.rows[id]?.uncoveredDots() ?? []
                try expect(verdict, "deleting what has \(what)", id, writer) { $0.cover(seen) }
                try chief.pullAll()
                #expect((chief.rows[id]?.isPresent == true) == (verdict != nil), "deleting what has \(what)")
            }
            // A derived identifier that is there is made again, with other values.
            let derived = RecordID(derivedFrom: server.random.next())
            try expect(nil, "making \(what)", derived, other, creates: creation) { self.edit(field, derived, &$0) }
            try expect(verdict, "making again \(what)", derived, writer, creates: creation) {
                self.edit(field, derived, &$0)
            }
        }
    }

    // MARK: What is written once

    private func runMade(_ field: FieldSchema, _ role: Role, _ writer: TestReplica) throws {
        let what = "\(field.name) of \(field.kind) as \(role)"
        let later: RefusalReason? = role == .supervisor ? nil : .forbidden
        let foreign: RefusalReason? = role == .supervisor ? nil : .unknownRecord
        for maker in [writer, other] {
            let id = maker.newID()
            let creation = Envelope(kind: field.kind, scope: .account(maker.account))
            try expect(nil, "making \(what)", id, maker, creates: creation) { self.edit(field, id, &$0) }
            try expect(maker === writer ? later : foreign, "changing \(what)", id, writer) { self.edit(field, id, &$0) }
            let seen = chief.rows[id]?.uncoveredDots() ?? []
            try expect(maker === writer ? later : foreign, "deleting what has \(what)", id, writer) { $0.cover(seen) }
        }
        let id = writer.newID()
        try expect(
            foreign, "making other's \(what)", id, writer,
            creates: Envelope(kind: field.kind, scope: .account(other.account))
        ) { self.edit(field, id, &$0) }
    }

    // MARK: One cell

    /// Pushes one operation and expects its verdict, and that others see what was written if nothing was refused.
    private func expect(
        _ reason: RefusalReason?, _ what: String, _ id: RecordID, _ writer: TestReplica, creates: Envelope? = nil,
        _ write: (inout Operations) -> Void
    ) throws {
        cells += 1
        let dot = writer.dot()
        let answer = try writer.push(
            Operations {
                $0.begin(record: id, time: 1, creates: creates, salt: 9)
                write(&$0)
            })
        let verdict = answer.verdicts.last { $0.number == dot.number }?.reason
        #expect(verdict == reason, "\(what)")
        for reader in [chief, stranger] { try reader.pullAll() }
        let entries = chief.rows[id]?.entries ?? []
        let isThere = entries.contains { $0.dot == dot } || entries.contains { $0.isCovered } && verdict == nil
        #expect(isThere == (reason == nil), "\(what), as another account reads it")
        let envelope = chief.rows[id]?.envelope
        let isSeen = stranger.rows[id] != nil && envelope?.scope != .workspace
        if (reason != nil && (verdict == nil || isThere)) || isSeen { leaks.append(what) }
    }

    /// Adds an edit of a field, in the form that its cells have.
    private func edit(_ field: FieldSchema, _ element: RecordID, _ operations: inout Operations) {
        let key =
            switch field.element {
            case .none: CellKey(field.field)
            case .name: CellKey(field.field, text: operations.store(Array("x-肤质".utf8)))
            case .account, .tag, .replica: CellKey(field.field, id: element)
            }
        switch field.shape {
        case .register, .text: operations.edit(key, text: "格子")
        case .elements, .flag: operations.edit(key, .present)
        }
    }
}

import GRDB
import ShoalCRDT
import ShoalProtocol
import ShoalStore

extension StoreWriter.State {
    /// Whether the account may rename, merge, archive and delete tags and groups.
    func mayEditTags(_ account: RecordID) -> Bool { tagEditors.includes(roles[account] ?? .least) }
}

// What the workspace is set to, and what each account may do. The tables are what counts; records tell the replicas.
extension ServerStore {
    /// Reads what every commit needs to know of rights.
    static func readRights(_ database: Database, into state: inout StoreWriter.State) throws {
        let rows = try Row.fetchCursor(
            database, sql: "SELECT id, role FROM account WHERE origin <> ?", arguments: [AccountOrigin.relay.rawValue])
        while let row = try rows.next() {
            state.roles[try RecordID(rawValue: row.checked("id"))] = try Role(rawValue: row.checked("role")) ?? .least
        }
        if let editors = TagEditors(rawValue: try value(database, of: .tagEditors)) { state.tagEditors = editors }
    }

    /// What a setting is; its first value until somebody sets it.
    private static func value(_ database: Database, of setting: Setting) throws -> String {
        try String.fetchOne(
            database.cachedStatement(sql: "SELECT value FROM setting WHERE name = ?"), arguments: [setting.rawValue])
            ?? setting.values[0]
    }

    func settings() throws -> [SettingValue] {
        try StoreError.mapping(path: path) {
            try pool.read { database in
                try Setting.allCases.map {
                    SettingValue(name: $0.rawValue, value: try Self.value(database, of: $0), values: $0.values)
                }
            }
        }
    }

    /// - Parameter value: one of the setting's.
    func set(_ setting: Setting, to value: String, salt: UInt32, time: Int64) throws {
        try withWriter { writer, database in
            try writer.transaction {
                try writer.note(
                    AuditEvent(
                        action: .setting,
                        values: [.init(setting.rawValue, from: try Self.value(database, of: setting), to: value)],
                        time: time))
                try database.execute(
                    sql: "REPLACE INTO setting (name, value) VALUES (?, ?)", arguments: [setting.rawValue, value])
                try writer.write(setting, value, salt: salt, time: time)
                if setting == .tagEditors, let editors = TagEditors(rawValue: value) {
                    writer.state.tagEditors = editors
                }
            }
        }
    }
}

extension StoreWriter {
    /// Tells the replicas what a setting is, in the transaction under way.
    fileprivate func write(_ setting: Setting, _ value: String, salt: UInt32, time: Int64) throws {
        let record = try stored(setting.id)
        let live = record.map { $0.liveDots(in: $0.range(of: CellKey(.settingValue))) } ?? []
        try writeOwn(time: time) { operations in
            let isMade = record?.isMade == true
            operations.begin(
                record: setting.id, time: time,
                creates: isMade ? nil : Envelope(kind: .setting, scope: .workspace), salt: salt)
            if !isMade { operations.edit(CellKey(.settingKey), text: setting.rawValue) }
            operations.edit(CellKey(.settingValue), text: value, supersedes: live)
        }
    }
}

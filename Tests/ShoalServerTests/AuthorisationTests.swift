import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

@testable import ShoalServer

/// Who may do what, over every route that there is.
struct AuthorisationTests {
    @Test(.timeLimit(.minutes(3))) func everyRouteAnswersEveryCallerAsTheMatrixSays() async throws {
        let server = try TestServer(isInMemory: true)
        let scene = try MatrixScene(server)
        var cells = 0
        var leaks: [String] = []
        try await Served.run(server) { served in
            let tables = [
                (Served.Door.network, served.http.services.publicRoutes),
                (.administration, served.http.services.administrationRoutes),
            ]
            for (door, routes) in tables {
                for route in routes {
                    let name = "\(door) \(route.method.rawValue) \(route.path)"
                    let rows = MatrixRow.all.filter { $0.route == name }
                    try #require(!rows.isEmpty, "the route \(name) has no row in the matrix")
                    for (row, caller) in rows.flatMap({ row in Caller.allCases.map { (row, $0) } }) {
                        let name = "\(name) \(row.what)"
                        cells += 1
                        let reply = try await served.send(
                            row.method, row.path, try row.body(scene, caller), key: scene.key(caller), door: door,
                            isCompressed: row.isCompressed)
                        #expect(reply.status == row.status(caller), "\(name) for \(caller): \(reply.problem ?? "")")
                        let isRefused = reply.status >= 300
                        if isRefused != (row.status(caller) >= 300) { leaks.append("\(name) for \(caller)") }
                        let isTold = row.tellsSupervisors && caller == .supervisor
                        let isSilent = isRefused || row.isPrivate && !isTold || caller.isRefused && door == .network
                        if isSilent, contains(reply.body) { leaks.append("\(name) tells \(caller)") }
                    }
                }
            }
            // No route of administration is there for the network, with whatever key.
            let network = Set(served.http.services.publicRoutes.map { "\($0.method.rawValue) \($0.path)" })
            for route in served.http.services.administrationRoutes
            where !network.contains("\(route.method.rawValue) \(route.path)") {
                for caller in Caller.allCases {
                    cells += 1
                    let reply = try await served.send(
                        route.method.rawValue, route.path, Array("{}".utf8), key: scene.key(caller))
                    if ![404, 405].contains(reply.status) || contains(reply.body) {
                        leaks.append("\(route.path) on the network for \(caller)")
                    }
                }
            }
        }
        #expect(leaks.isEmpty)
        #expect(MatrixRow.all.count * Caller.allCases.count <= cells)
        print("cells=\(cells) leaks=\(leaks.count)")
    }

    private func contains(_ body: [UInt8]) -> Bool {
        let clear = (try? Deflate.expand(body, limit: Limits.inflated, dictionary: FrameDictionary.bytes)) ?? body
        return [body, clear].contains { String(decoding: $0, as: UTF8.self).contains(MatrixScene.canary) }
    }

    @Test(.timeLimit(.minutes(3))) func everyFieldIsWrittenByWhomTheMatrixSaysAndNobodyElse() throws {
        let matrix = try FieldMatrix()
        for role in Role.allCases { try matrix.run(role) }
        #expect(matrix.leaks.isEmpty)
        // Each row names a field that there is, and at least one cell was tried of each field and role.
        #expect(FieldRow.all.count == Schema.fields.count)
        #expect(matrix.cells >= Schema.fields.count * Role.allCases.count)
        print("fields: cells=\(matrix.cells) leaks=\(matrix.leaks.count)")
    }

    /// Whoever pushes is who the credential says, whatever the message claims.
    @Test func neitherLogsNorTokensNorTheServersRecordsCanBeClaimed() throws {
        let server = try TestServer()
        let (anna, ben) = (try server.replica("Anna"), try server.replica("Ben"))
        try anna.sync(Operations { $0.makeCustomer(anna.newID(), name: "张三") })
        try ben.sync()
        try server.accounts.set("tag-editors", to: "experts")

        func outcome(_ request: SyncRequest) throws -> Result<PushAnswer, SyncProblem> {
            do {
                let push = try server.store.prepare(ben.push(of: request))
                return try #require(try server.store.commit([push]).first).map(\.answer)
            } catch let problem as SyncProblem { return .failure(problem) }
        }
        func problem(_ change: (inout SyncRequest) -> Void) throws -> SyncProblem? {
            var request = ben.request(Operations { $0.makeCustomer(ben.newID(), name: "李四") })
            change(&request)
            if case .failure(let problem) = try outcome(request) { return problem }
            return nil
        }
        // A log of another account, as the one written or beside it, and the server's own.
        let foreign = anna.request(Operations(), end: anna.position + 1).logs
        #expect(try problem { $0.logs = foreign } == .foreignLog(anna.replica))
        #expect(try problem { $0.logs = foreign + $0.logs } == .foreignLog(anna.replica))
        let own = try server.store.withWriter { writer, _ in writer.ownReplica }
        #expect(
            try problem {
                $0.logs = [LogPosition(replica: own, position: 0, hash: .start, end: 1)]
            } == .foreignLog(own))
        let invented = ReplicaID(epoch: 1, count: 1)
        #expect(
            try problem { $0.logs = [LogPosition(replica: invented, position: 0, hash: .start, end: 1)] }
                == .foreignLog(invented))
        // What was made for another account.
        #expect(try problem { $0.cursor = anna.cursor } == .foreignToken("cursor"))
        #expect(try problem { $0.acknowledgement = anna.acknowledgement } == .foreignToken("acknowledgement"))

        // What only the server writes: accounts, their roles and replicas, settings, and what could stand in their place.
        let dump = try server.dump()
        let forbidden: [(inout Operations) -> Void] = [
            { operations in
                operations.begin(record: ben.account, time: 1, salt: 1)
                operations.edit(CellKey(.accountRole), text: "supervisor")
            },
            { operations in
                operations.begin(record: anna.account, time: 1, salt: 1)
                operations.edit(CellKey(.accountReplica, id: RecordID(rawValue: Int64(ben.replica.rawValue))), .present)
            },
            { operations in
                operations.begin(
                    record: ben.newID(), time: 1, creates: Envelope(kind: .account, scope: .workspace), salt: 1)
                operations.edit(CellKey(.accountName), text: "Carl")
            },
            { operations in
                operations.begin(record: Setting.tagEditors.id, time: 1, salt: 1)
                operations.edit(CellKey(.settingValue), text: "everyone")
            },
            { operations in
                operations.begin(
                    record: ben.newID(), time: 1, creates: Envelope(kind: .setting, scope: .workspace), salt: 1)
            },
        ]
        for (index, make) in forbidden.enumerated() {
            let answer = try ben.push(Operations(make))
            #expect(answer.verdicts.last?.reason == .forbidden, "case \(index)")
        }
        #expect(try server.dump() == dump)
    }

    @Test func nobodyTakesASettingsPlaceBeforeTheServerWritesIt() throws {
        let server = try TestServer()
        let ben = try server.replica("Ben")
        let answer = try ben.push(
            Operations {
                $0.begin(
                    record: Setting.tagEditors.id, time: 1, creates: Envelope(kind: .tag, scope: .workspace), salt: 1)
            })
        #expect(answer.verdicts.map(\.reason) == [.forbidden])
        try server.accounts.set("tag-editors", to: "supervisors")
        try ben.pullAll()
        let record = try #require(ben.rows[Setting.tagEditors.id])
        #expect(record.envelope == Envelope(kind: .setting, scope: .workspace))
    }
}

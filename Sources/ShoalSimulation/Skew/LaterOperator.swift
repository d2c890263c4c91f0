import ShoalClient
import ShoalCRDT
import ShoalProtocol

// What operators do whose program is one version ahead, beside what all do.
extension Operator {
    /// Does one thing that this version has no command for.
    func performLater() throws {
        let id = try customer()
        try see(id)
        let replica = try machine.opened()
        let text = value()
        switch cluster.random.below(8) {
        case 0: try replica.write { try $0.write(text, LaterVersion.budget, of: id) }
        case 1:
            try replica.write {
                try $0.write(LaterVersion.run, json: #"{"run":"\#(text)"}"#, LaterVersion.script, of: id)
            }
        case 2:
            // A cell that the version before knows, as a register.
            try replica.write { try $0.write(LaterVersion.rights, json: #"["\#(text)",1.50]"#, .stage, of: id) }
        case 3: try replica.write { try $0.prefer(text, "x-\(cluster.random.below(2))", of: id) }
        case 4:
            try replica.write {
                try $0.setElement(id, LaterVersion.interest, id, isPresent: cluster.random.below(3) > 0)
            }
            return try witness()
        case 5: try replica.write { try $0.operate(json: #"{"do":"\#(text)"}"#, on: id) }
        case 6: try replica.write { try $0.add(2, to: id, LaterVersion.visits) }
        default: try visit(id, text)
        }
        try witness(surely: true)
    }

    /// Makes a record of a kind that only this version knows, and changes it at once; now and then deletes it.
    private func visit(_ customer: RecordID, _ text: String) throws {
        let replica = try machine.opened()
        let isOfWorkspace = cluster.random.below(3) == 0
        let id = try replica.write { commands in
            try commands.make(
                isOfWorkspace ? LaterVersion.campaign : LaterVersion.visit,
                scope: isOfWorkspace ? .workspace : .customer(customer), [(LaterVersion.budget, text)])
        }
        try witness(surely: true)
        let body = value()
        try replica.write { try $0.write(LaterVersion.run, json: #"{"run":"\#(body)"}"#, LaterVersion.script, of: id) }
        if cluster.random.below(4) == 0 {
            try witness(surely: true)
            try replica.write { try $0.edit(id) { batch, record in batch.cover(record.uncoveredDots()) } }
        }
    }
}

extension Commands {
    /// Writes a register of a later version.
    public func write(_ text: String, _ field: Field, of id: RecordID) throws {
        try edit(id) { batch, record in
            let key = CellKey(field)
            batch.edit(key, text: text, supersedes: record.liveDots(in: record.range(of: key)))
        }
    }

    /// Adds a value to a cell of a later type, beside what is there.
    ///
    /// - Parameter supersedes: the dots in the cell that it takes the place of.
    public func write(
        _ type: ValueKind, json: String, _ field: Field, of id: RecordID, supersedes: [Dot] = []
    ) throws {
        try edit(id) { batch, _ in
            batch.edit(CellKey(field), type, slice: batch.store(json.utf8), supersedes: supersedes)
        }
    }

    /// Writes a value that the version before knows as JSON only, in a cell with a name.
    public func prefer(_ text: String, _ name: String, of id: RecordID) throws {
        try edit(id) { batch, record in
            let key = CellKey(LaterVersion.preference, text: batch.store(name.utf8))
            let seen = record.liveDots(in: record.range(of: key, in: batch.arena))
            batch.edit(key, .json, slice: batch.store(#"{ "shade" : "\#(text)" }"#.utf8), supersedes: seen)
        }
    }

    /// Writes an operation of a later kind.
    public func operate(json: String, on id: RecordID) throws {
        try edit(id) { batch, _ in
            batch.edit(
                CellKey(.unknownOperation, id: LaterVersion.operation), .json, slice: batch.store(json.utf8))
        }
    }
}

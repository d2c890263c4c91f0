import ShoalCRDT

/// How an account's view moved: customers that it does not follow any more, and those that it follows again; SPEC.md §4.3.
public struct ScopeMoves: Sendable, Equatable {
    /// Everything in the scope of these goes from the replica, once what it wrote about them has its verdicts.
    public var left: [RecordID] = []
    /// What the replica may have of these is not what the server has: it goes, and everything in their scope follows
    /// whole, from this page on.
    public var entered: [RecordID] = []

    public init(left: [RecordID] = [], entered: [RecordID] = []) {
        self.left = left
        self.entered = entered
    }

    public var isEmpty: Bool { left.isEmpty && entered.isEmpty }
}

extension ScopeMoves {
    /// The members of an answer that say this; nothing when nothing moved.
    func write(to json: inout JSONWriter) {
        DigestCodec.writeIdentifiers("left", left.sorted(), to: &json)
        DigestCodec.writeIdentifiers("entered", entered.sorted(), to: &json)
    }

    static func read(from reader: inout JSONReader) throws -> [RecordID] {
        try DigestCodec.readIdentifiers(limit: Limits.moves, from: &reader)
    }
}

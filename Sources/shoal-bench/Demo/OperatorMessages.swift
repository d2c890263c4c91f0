import ShoalClient

/// What the demo tells an operator: one JSON object a line on standard input. Each is answered by `done` or `failed`.
enum OperatorOrder: Codable, Sendable {
    /// Makes the home and enrolls it.
    case enroll(server: String, code: String)
    /// Makes the tags that all share.
    case makeTags(part: String)
    /// Makes the account's part of the workspace.
    case load(part: String)
    /// Works offline. `customers` are the ids of those that others made.
    case day(path: String, customers: [String: String])
    case sync(Cuts)
    /// Closes the database; the process ends.
    case close
}

/// How many of 1,000 requests are lost before they are sent, and how many answers after the server has committed.
struct Cuts: Codable, Sendable {
    var requests = 0
    var answers = 0
    static let none = Cuts()
}

/// What an operator tells the demo: one JSON object a line on standard output.
enum OperatorEvent: Codable, Sendable {
    /// So many more things are done.
    case progress(Int)
    case done(OperatorOutcome)
    case failed(String)
}

struct OperatorOutcome: Codable, Sendable {
    /// Changes that the server does not have yet, and conflicts that the operator sees.
    var pending = 0
    var conflicts = 0
    var pushed = 0
    var pulled = 0
    var refused = 0
    /// False when the network gave out too often: the rest follows with the next sync.
    var isComplete = true
    var traffic = Traffic()
    /// The ids of the customers made, by their names in the workload.
    var made: [String: String] = [:]
    /// A conflict in words.
    var example: ConflictExample?
    var memory = 0.0
}

struct ConflictExample: Codable, Sendable {
    struct Value: Codable, Sendable {
        var value: String
        var by: String
    }
    var id: String
    var name: String
    var field: String
    var shown: Value
    var others: [Value]
}

/// What crossed the network.
struct Traffic: Codable, Sendable {
    var requests = 0
    var requestsCut = 0
    var answersCut = 0
    var bytesUp = 0
    var bytesDown = 0

    static func += (a: inout Self, b: Self) {
        a.requests += b.requests
        a.requestsCut += b.requestsCut
        a.answersCut += b.answersCut
        a.bytesUp += b.bytesUp
        a.bytesDown += b.bytesDown
    }
}

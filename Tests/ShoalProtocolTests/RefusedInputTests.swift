import Foundation
import Testing

@testable import ShoalProtocol

/// The corpus that a server is tried with is whole, and is what its recorder makes.
@Suite struct RefusedInputTests {
    @Test func theStoredInputsAreTheOnesThatTheRecorderMakes() throws {
        var count = 0
        for kind in try RefusedInputs.all() {
            let names = kind.inputs.indices.map { String(format: "%03d.%@", $0 + 1, kind.ending) }
            for (name, input) in zip(names, kind.inputs) {
                if Trial.isRecording { try Fixtures.record("Inputs/\(kind.name)/\(name)", input) }
                #expect(try Fixtures.read("Inputs/\(kind.name)/\(name)") == input, "\(kind.name)/\(name)")
            }
            #expect(try Fixtures.names(in: "Inputs/\(kind.name)") == names)
            count += names.count
        }
        #expect(count >= 2_000)
    }
}

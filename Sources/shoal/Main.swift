import ArgumentParser
import Glibc

/// The program: arranges the command line, runs the command, turns what went wrong into a sentence and a status.
@main
enum Main {
    static func main() async {
        var words: [String] = []
        do {
            words = try Arguments.fromSystem()
            var command = try await Shoal.asyncParseAsRoot(Arguments.arranged(words))
            if var asynchronous = command as? AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            exit(conclude(error, words))
        }
    }

    /// Says what went wrong, or prints the help that ArgumentParser throws, and returns the exit status.
    private static func conclude(_ error: any Error, _ words: [String]) -> Int32 {
        if Shoal.exitCode(for: error) == .success {
            var screen = Screen(isJSON: false)
            screen.block(Shoal.fullMessage(for: error))
            do { try screen.finish() } catch { return conclude(error, words) }
            return 0
        }
        let failure = Failure(error).explained(for: words)
        Screen.say(failure.sentence)
        return failure.status
    }
}

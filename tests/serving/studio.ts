// A client of `hlx serve` as the studio would have it. Run with node: it makes each call once, and prints what it got.
//   tsc --strict --target es2020 --module commonjs --lib es2020,dom studio.ts && node studio.js http://127.0.0.1:5001
// With a token: HLX_API_TOKEN=… node studio.js …

type Verdict = "pass" | "warn" | "fail" | "none";
type Language = "HLXL" | "LC-R" | "LC-T" | "LC-B" | "English";

interface Served {
  checkpoint: string;
  verdict: Verdict;
}

interface Models {
  coordinator: string;
  ascii: string;
  runic: string;
}

interface Health extends Served {
  status: string;
  models: Models;
  greeting: string;
}

interface Status extends Served {
  ready: boolean;
  models: Models;
  coordinator: string | null;
  ascii_specialist: string | null;
  runic_specialist: string | null;
  gpu_available: boolean;
  gpu_memory: Record<string, number> | null;
  trust: string[];
  languages: Language[];
  open: number;
  waiting: number;
}

interface Translated extends Served {
  text: string;
  to: Language;
  parses: boolean;
  complete: boolean;
}

interface Answered extends Translated {
  success: true;
  response: string;
  specialist: "coordinator" | "ascii" | "runic";
  explanation: string;
  format_hints: Language[];
}

interface Reloaded extends Served {
  success: true;
  message: string;
}

interface Asked {
  text: string;
  to?: Language;
  from?: Language;
}

class Refused extends Error {
  constructor(readonly status: number, readonly detail: string, readonly retryAfter: number | null) {
    super(`${status}: ${detail}`);
  }
}

class Studio {
  constructor(private readonly address: string, private readonly token?: string) {}

  health(): Promise<Health> {
    return this.call("GET", "/health");
  }

  status(): Promise<Status> {
    return this.call("GET", "/status");
  }

  query(text: string): Promise<Answered> {
    return this.call("POST", "/query", { query: text });
  }

  reload(): Promise<Reloaded> {
    return this.call("POST", "/reload");
  }

  translate(asked: Asked): Promise<Translated>;
  translate(asked: Asked[]): Promise<Translated[]>;
  translate(asked: Asked | Asked[]): Promise<Translated | Translated[]> {
    return this.call("POST", "/translate", asked);
  }

  private async call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (this.token) headers["Authorization"] = `Bearer ${this.token}`;
    const reply = await fetch(this.address + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const content = await reply.json();
    if (!reply.ok) {
      const seconds = reply.headers.get("Retry-After");
      throw new Refused(reply.status, content.detail, seconds === null ? null : Number(seconds));
    }
    return content as T;
  }
}

declare const process: { argv: string[]; env: Record<string, string | undefined>; exitCode?: number };

async function main(): Promise<void> {
  const studio = new Studio(process.argv[2], process.env.HLX_API_TOKEN);
  const refused = await studio.query("").then(
    () => null,
    (error: unknown) => (error instanceof Refused ? { status: error.status, detail: error.detail } : String(error)),
  );
  const found = {
    health: await studio.health(),
    status: await studio.status(),
    query: await studio.query("Search for documents"),
    reload: await studio.reload(),
    one: await studio.translate({ text: "Search for documents", to: "LC-R" }),
    several: await studio.translate([{ text: "Sort all users" }, { text: '{C:1000,0="sort",1=@users}', from: "LC-T" }]),
    refused,
  };
  console.log(JSON.stringify(found));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

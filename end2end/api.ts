// The admin API, as a program uses it: what tests prepare and check beside the dashboard.

import type { Server } from "./server.ts";

export type Tally = {
  succeeded: number;
  failed: number;
  rolled_back: number;
  under_way: number;
  waiting: number | null;
};

export type RolloutSummary = {
  id: number;
  state: string;
  current_phase: number;
  total: Tally;
  progress: { tally: Tally }[];
};

export type DeviceSummary = {
  id: string;
  model: string;
  version: string;
  state: string;
  last_seen_at: string | null;
};

/** What a test asks of a rollout; all devices of the release's models are its audience. */
export type RolloutSpec = {
  name: string;
  release: number;
  phases: { name: string; scope: { kind: "share"; share: number }; gate?: Record<string, unknown> }[];
  max_in_flight?: number;
};

export class Api {
  constructor(private readonly server: Server) {}

  get<T>(path: string): Promise<T> {
    return this.call<T>("GET", path);
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.call<T>("POST", path, body);
  }

  /** All devices whose id has a text in it. */
  async devices(search: string): Promise<DeviceSummary[]> {
    const query = new URLSearchParams({ search, limit: "500" });
    return (await this.get<{ items: DeviceSummary[] }>(`devices?${query}`)).items;
  }

  createRollout(spec: RolloutSpec): Promise<{ id: number }> {
    return this.post("rollouts", spec);
  }

  rollout(id: number): Promise<RolloutSummary> {
    return this.get(`rollouts/${id}`);
  }

  async enrollmentToken(name: string): Promise<string> {
    return (await this.post<{ secret: string }>("enrollment-tokens", { name })).secret;
  }

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.server.url}/api/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${this.server.apiKey}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`);
    return JSON.parse(text) as T;
  }
}

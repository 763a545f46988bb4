/** The route table: every route of the REST door, each in the file of its resource. */
import { LARGE_ANSWERS_BYTES_MAX } from "../../../shared/limits.ts";
import { adminRoutes } from "./admin.ts";
import { docsRoutes } from "./docs.ts";
import { entityRoutes } from "./entities.ts";
import { healthRoutes } from "./health.ts";
import { keyRoutes } from "./keys.ts";
import { LargeAnswers } from "./large_answers.ts";
import { listRoutes } from "./list.ts";
import { multiGetRoutes } from "./multi_get.ts";
import type { EntityDeps, RestDeps, Route } from "./route.ts";
import { schemaCheckRoutes } from "./schema_check.ts";
import { schemaRoutes } from "./schemas.ts";
import { sessionRoutes } from "./session.ts";
import { watchRoutes } from "./watch.ts";

/** The routes of entities: what a front thread answers by itself. `listings`: those that list, too. */
export function createEntityRoutes(deps: EntityDeps, listings: boolean): readonly Route[] {
  const answers = new LargeAnswers(deps.clock, LARGE_ANSWERS_BYTES_MAX / deps.threads);
  return [
    ...entityRoutes(deps, answers),
    ...multiGetRoutes(deps, answers),
    ...watchRoutes(deps),
    ...(listings ? listRoutes(deps, answers) : []),
  ];
}

/** All routes. */
export function createRoutes(deps: RestDeps): readonly Route[] {
  const routes: readonly Route[] = [
    ...createEntityRoutes(deps, true),
    ...schemaRoutes(deps),
    ...schemaCheckRoutes(deps),
    ...sessionRoutes(deps),
    ...keyRoutes(deps),
    ...adminRoutes(deps),
    ...healthRoutes(deps),
    ...docsRoutes(deps, () => routes),
  ];
  return routes;
}

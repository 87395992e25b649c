export const formatCosts = async (): Promise<string> => "";
